"""A backed-up server with the service's schema and a few people, and drills of its repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gtsd.__main__ import run as gtsd
from gtsd.migrate.runner import up
from tests.conftest import MIGRATIONS
from tests.support.backed_up import BackedUp
from tests.support.process import PACKAGE
from tests.support.somebody import give, somebody

_PEOPLE = """
INSERT INTO users (email, password_hash, name)
SELECT 'person' || n || '@example.com', 'x', 'Ada' FROM generate_series(1, 200) n;
INSERT INTO tasks (user_id, type, title, due_date, metadata)
SELECT id, 'custom', 'Task ' || n, date '2026-11-01' + n, jsonb_build_object('n', n)
FROM users, generate_series(1, 20) n
"""
_RIGHTS = """
CREATE ROLE gtsd_app LOGIN;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO gtsd_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO gtsd_app
"""


@pytest.fixture(scope="module")
def primary() -> Iterator[BackedUp]:
    """With a backup, and after it WAL in several segments."""
    folder = Path(tempfile.mkdtemp(prefix="gtsd-drill-", dir="/tmp"))
    folder.chmod(0o711)
    give(folder)
    server = BackedUp(folder)
    server.make()
    try:
        server.execute("CREATE DATABASE gtsd", "postgres")
        server.elsewhere("kept_elsewhere")
        up(server.url(), MIGRATIONS)
        server.execute(_RIGHTS)
        server.pgbackrest("backup", "--type=full")
        server.execute(_PEOPLE)
        server.archive()
        _release(server)
        server.execute("UPDATE users SET name = 'Ann' WHERE id % 7 = 0")
        server.archive()
        server.execute("DELETE FROM tasks WHERE id % 11 = 0")
        server.archive()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def _release(server: BackedUp) -> None:
    """A release in the ledger, as playbooks write it."""
    environ = {"DATABASE_URL": server.url()}
    who = ["--holder", "anna@laptop release 1.4.0", "--purpose", "release"]
    words = [["acquire", *who], ["record", "--token=1", "--event=started", "--version=1.4.0"]]
    for each in words:
        assert gtsd(["deploys", *each], environ, sys.stdout, sys.stderr) == 0


class Outcome:
    """What a drill told."""

    def __init__(self, done: subprocess.CompletedProcess[str], metrics: Path) -> None:
        self.status = done.returncode
        self.errors = done.stderr
        self.line: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        self.metrics = {
            sample.name + "".join(sample.labels.values()): sample.value
            for family in text_string_to_metric_families(metrics.read_text())
            for sample in family.samples
        }

    @property
    def failed(self) -> tuple[str, str]:
        """The step and the cause; it must have failed, and everything must say so."""
        assert self.status == 1, self.errors
        assert self.line["msg"] == "restore drill failed"
        assert self.metrics["gtsd_restore_ok"] == 0
        assert self.line["why"] in self.errors
        return self.line["step"], self.line["cause"]


class Drills:
    """Runs them as the timer does; ``folder`` and ``metrics`` outlive a run."""

    def __init__(self, server: BackedUp) -> None:
        self.server = server
        self.folder = server.folder / "drills"
        self.folder.mkdir(exist_ok=True)
        give(self.folder)
        self.metrics = self.folder / "gtsd_drill.prom"

    def start(self, *words: str, folder: Path | None = None) -> subprocess.Popen[str]:
        """In a process of its own."""
        usual = [f"--config={self.server.config}", "--spare-mb=50"]
        command = [
            *somebody(),
            *(sys.executable, "-m", "gtsd", "drill"),
            f"--folder={folder or self.folder}",
            f"--metrics-file={self.metrics}",
            *(word for word in usual if word.split("=")[0] not in " ".join(words)),
            *words,
        ]
        inherited = {name: text for name, text in os.environ.items() if name.startswith("COVERAGE")}
        return subprocess.Popen(
            command,
            cwd="/",
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PACKAGE), **inherited},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, folder: Path | None = None) -> Outcome:
        """To its end, after which nothing of it may be left."""
        return self.ended(self.start(*words, folder=folder), folder)

    def ended(self, process: subprocess.Popen[str], folder: Path | None = None) -> Outcome:
        """Waits for it."""
        with process:
            out, errors = process.communicate(timeout=55)
        assert out, errors
        assert not ((folder or self.folder) / "throwaway").exists()
        done = subprocess.CompletedProcess(process.args, process.returncode, out, errors)
        return Outcome(done, self.metrics)


Drill = Callable[..., Outcome]


@pytest.fixture
def drills(primary: BackedUp) -> Drills:
    """Of the primary's repository."""
    return Drills(primary)


@pytest.fixture
def drill(drills: Drills) -> Drill:
    """One run with these options."""
    return drills.run
