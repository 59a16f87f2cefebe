"""Workers in processes of their own, with jobs that write down what they do."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import outside
from tests.support.process import Served, environment, started

PROGRAM = Path(__file__).with_name("own_worker.py")


class Jobs:
    """The queue and what its jobs have done, seen from outside."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, sql: str) -> Any:
        """The first column of the first row."""
        return outside(self.url, sql)

    def add(self, name: str, mark: str, key: str | None = None, count: int = 1) -> None:
        """Put jobs into the queue; each of several gets its own number behind the mark."""
        args = json.dumps({"arguments": {"mark": mark}})
        numbered = "args #> '{arguments,mark}'"
        self.ask(
            f"""
            INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock, args)
            SELECT 'upkeep', '{name}', {f"'{key}'" if key else "NULL"},
                CASE {count} WHEN 1 THEN args
                    ELSE jsonb_set(args, '{{arguments,mark}}', to_jsonb({numbered} #>> '{{}}' || n))
                END
            FROM generate_series(1, {count}) n, (SELECT '{args}'::jsonb AS args) a
            """
        )

    def runs(self, mark: str) -> int:
        """How often a job began."""
        return int(self.ask(f"SELECT count(*) FROM runs WHERE mark = '{mark}'"))

    def effects(self, mark: str) -> int:
        """How often it had its effect."""
        return int(self.ask(f"SELECT count(*) FROM effects WHERE mark = '{mark}'"))

    def state(self, name: str) -> tuple[str, int] | None:
        """procrastinate's word for the only job of a name, and its tries; None: it is gone."""
        found = self.ask(
            "SELECT json_build_array(status, attempts) FROM procrastinate_jobs"
            f" WHERE task_name = '{name}'"
        )
        return None if found is None else (found[0], found[1])

    def open_gate(self, mark: str) -> None:
        """Let the job that waits for it end."""
        self.ask(f"INSERT INTO gates VALUES ('{mark}')")

    def worker(self, **variables: str) -> AbstractContextManager[Served]:
        """A process that looks for jobs ten times a second."""
        given = {
            "GTSD_WORKER_PORT": "0",
            "GTSD_WORKER_POLL_INTERVAL": "0.1",
            "GTSD_DATABASE_CONNECT_TIMEOUT": "1",
            **variables,
        }
        return started(environment(self.url, **given), (sys.executable, str(PROGRAM)))


def prepared(url: str) -> Jobs:
    """With the tables that the jobs write into."""
    outside(url, str(runpy.run_path(str(PROGRAM))["SCHEMA"]))
    return Jobs(url)


@pytest.fixture
def jobs(migrated_database_url: str) -> Jobs:
    """On a database of its own."""
    return prepared(migrated_database_url)


@pytest.fixture
def prepare() -> Callable[[str], Jobs]:
    """For a test with a server of its own."""
    return prepared
