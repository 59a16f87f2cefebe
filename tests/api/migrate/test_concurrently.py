"""Indexes built beside the service, and runs that are killed at any point."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import extensions

from gtsd.migrate import report, runner, schema
from gtsd.migrate.connection import Link
from gtsd.migrate.errors import Drift, LockNotHad, MigrationError
from gtsd.migrate.files import read_folder
from tests.api.migrate.support import (
    Folder,
    backends,
    invalid_indexes,
    ledger,
    rows,
    session,
    start_up,
    until,
)

KILLER = Path(__file__).with_name("killer.py")
ENVIRON = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "service")}
BUILD = "CREATE INDEX CONCURRENTLY IF NOT EXISTS a_x ON a (x);"


@pytest.fixture
def indexed(folder: Folder) -> Folder:
    """Two tables, then indexes of the first one built concurrently."""
    folder.add("0001_a", "CREATE TABLE a (x text, y text);", "DROP TABLE a;")
    folder.add("0002_b", "CREATE TABLE b (x text);", "DROP TABLE b;")
    return folder.add(
        "0003_index",
        BUILD + "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS a_y ON a (y);",
        "DROP INDEX CONCURRENTLY IF EXISTS a_y; DROP INDEX CONCURRENTLY IF EXISTS a_x;",
        none=True,
    )


@contextmanager
def writer(database_url: str) -> Iterator[extensions.connection]:
    """A transaction that an index build has to wait for."""
    with session(database_url, "importer") as connection:
        connection.cursor().execute("INSERT INTO a VALUES ('ann@example.org')")
        yield connection


def leave_invalid_index(database_url: str) -> None:
    """As an interrupted build does."""
    with writer(database_url), session(database_url) as builder:
        builder.autocommit = True
        with builder.cursor() as cursor:
            cursor.execute("SET lock_timeout TO '50ms'")
            with pytest.raises(psycopg2.errors.LockNotAvailable):
                cursor.execute(BUILD)
    assert invalid_indexes(database_url) == ["a_x"]


def test_an_index_build_waits_without_blocking_anybody(database_url: str, indexed: Folder) -> None:
    """It says for whom it waits; meanwhile the table is read and written."""
    runner.up(database_url, indexed.path, to=2)
    with writer(database_url) as connection:
        run = start_up(database_url, indexed)
        until(lambda: run.said("0003_index: waits, blocking nobody, for pid"))
        assert run.said(f"pid {connection.info.backend_pid} (user gtsd, application importer")
        assert not run.said("ann@example.org")
        # It would wait for the writer, for ever.
        insert = "INSERT INTO a VALUES ('b', 'c') RETURNING x"
        assert rows(database_url, f"SET statement_timeout TO 5000; {insert}") == [("b",)]
        assert run.running
    run.end()
    assert ledger(database_url) == [1, 2, 3]
    assert invalid_indexes(database_url) == []


def test_an_index_build_ends_with_the_budget(database_url: str, indexed: Folder) -> None:
    """Exit code 3, who was in the way, and a rerun that mends what stayed behind."""
    runner.up(database_url, indexed.path, to=2)
    with writer(database_url) as connection:
        pid = connection.info.backend_pid
        run = start_up(database_url, indexed, budget=0.5)
        with pytest.raises(LockNotHad, match=f"0003_index: no lock within 0.5 s .*pid {pid} "):
            run.end()
        assert run.said("the index a_x stays behind, invalid; the next run drops it")
        assert invalid_indexes(database_url) == ["a_x"]
    runner.up(database_url, indexed.path)
    assert invalid_indexes(database_url) == []
    assert ledger(database_url) == [1, 2, 3]


def test_an_index_that_cannot_be_built_leaves_nothing_behind(
    database_url: str, indexed: Folder
) -> None:
    """Duplicates are found only at the end of the build."""
    runner.up(database_url, indexed.path, to=2)
    rows(database_url, "INSERT INTO a VALUES ('a', 'ann@x'), ('b', 'ann@x')")
    with pytest.raises(MigrationError, match="0003_index.sql, line 7: could not create") as caught:
        runner.up(database_url, indexed.path)
    assert "ann@x" not in str(caught.value)
    assert ledger(database_url) == [1, 2]
    assert invalid_indexes(database_url) == []


def test_an_invalid_index_is_not_taken_for_a_finished_one(
    database_url: str, indexed: Folder
) -> None:
    """IF NOT EXISTS is satisfied by it; the runner is not."""
    runner.up(database_url, indexed.path, to=2)
    leave_invalid_index(database_url)
    runner.up(database_url, indexed.path)
    assert invalid_indexes(database_url) == []


def test_without_dropping_it_an_invalid_index_would_stay(
    database_url: str, indexed: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And verify would find it."""
    monkeypatch.setattr(runner._Runner, "_drop_invalid", lambda *_: None)
    runner.up(database_url, indexed.path, to=2)
    leave_invalid_index(database_url)
    runner.up(database_url, indexed.path)
    assert invalid_indexes(database_url) == ["a_x"]
    with (
        Link(database_url, "test") as link,
        pytest.raises(Drift, match="index a_x is invalid: drop it"),
    ):
        report.verify(link, read_folder(indexed.path))


def test_a_build_that_is_killed_is_done_again(database_url: str, indexed: Folder) -> None:
    """Killed while it waits for a transaction; the next runner waits for the killed one's lock."""
    runner.up(database_url, indexed.path)
    wanted = schema.dump(database_url, os.environ)
    runner.down(database_url, indexed.path, to=2)
    with writer(database_url):
        killed = subprocess.Popen(
            [sys.executable, str(KILLER), database_url, str(indexed.path), "none", "up"],
            env=ENVIRON,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert killed.stderr is not None
        with killed.stderr as lines:
            assert any("waits, blocking nobody" in line for line in lines)
            killed.send_signal(signal.SIGKILL)
        assert killed.wait(10) == -signal.SIGKILL
        until(lambda: not backends(database_url, "CREATE INDEX"))
        assert invalid_indexes(database_url) == ["a_x"]
        run = start_up(database_url, indexed)
        until(lambda: run.said("dropping the invalid index a_x"))
        until(lambda: run.said("waits, blocking nobody"))
    run.end()
    assert schema.dump(database_url, os.environ) == wanted
    assert invalid_indexes(database_url) == []


def kill(database_url: str, folder: Folder, points: str, direction: str) -> list[dict[str, object]]:
    """One record for each kill: by which signal the run ended, and what a rerun made of it."""
    done = subprocess.run(
        [sys.executable, str(KILLER), database_url, str(folder.path), points, direction],
        check=True,
        env=ENVIRON,
        stdout=subprocess.PIPE,
        text=True,
        timeout=50,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


GOOD: dict[str, object] = {"error": None, "same": True, "invalid": []}


@pytest.mark.parametrize(("direction", "least"), [("up", 12), ("down", 10)])
def test_a_run_killed_before_any_statement_is_mended_by_the_next(
    database_url: str, indexed: Folder, direction: str, least: int
) -> None:
    """Each change of the database in turn is the one that was never sent."""
    records = kill(database_url, indexed, "statements", direction)
    assert len(records) >= least
    for record in records:
        assert record == {"at": record["at"], "signal": signal.SIGKILL, **GOOD}


def test_a_run_killed_at_random_moments_is_mended_by_the_next(
    database_url: str, indexed: Folder
) -> None:
    """Statements on their way to the server and answers on their way back included."""
    records = kill(database_url, indexed, "moments", "up")
    assert len(records) == 8
    assert any(record["signal"] for record in records)
    for record in records:
        assert record == {"at": record["at"], "signal": record["signal"], **GOOD}


def test_a_ledger_written_apart_from_its_migration_would_not_survive(
    database_url: str, indexed: Folder
) -> None:
    """Killed in between, the migration is there and unknown: the rerun fails, and is seen to."""
    records = kill(database_url, indexed, "apart", "up")
    assert any("already exists" in str(record["error"]) for record in records)
