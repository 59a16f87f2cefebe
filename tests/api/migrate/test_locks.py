"""Waiting for locks: nobody else waits long, who is in the way is named, and it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from psycopg2 import extensions

from gtsd.migrate import runner
from gtsd.migrate.errors import LockNotHad
from tests.api.migrate.support import Folder, Run, ledger, rows, session, start_up, until

# No query of another session may wait longer for a migration that itself waits, in seconds.
BOUND = 0.5
WAITING = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'b'::regclass"


@pytest.fixture
def alter(database_url: str, folder: Folder) -> Folder:
    """Two tables are there; a migration that alters both is pending."""
    folder.add("0001_a", "CREATE TABLE a (x text); CREATE TABLE b (x text);")
    runner.up(database_url, folder.path)
    return folder.add("0002_b", "ALTER TABLE a ADD COLUMN y text; ALTER TABLE b ADD COLUMN y text;")


@contextmanager
def reader(database_url: str, table: str) -> Iterator[extensions.connection]:
    """A dump, say: it has read and does not end."""
    with session(database_url, "nightly-dump") as connection:
        connection.cursor().execute(f"SELECT x FROM {table} WHERE x = 'ann@example.org'")
        yield connection


def slowest_query(database_url: str, table: str, seconds: float) -> float:
    """The longest of the queries that another session sends one after the other."""
    longest = 0.0
    end = time.monotonic() + seconds
    with session(database_url) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        while time.monotonic() < end:
            began = time.monotonic()
            cursor.execute(f"SELECT count(*) FROM {table}")
            longest = max(longest, time.monotonic() - began)
            time.sleep(0.01)
    return longest


def queries(database_url: str, table: str, seconds: float) -> Run:
    """The same in the background; it says the seconds."""
    return Run(lambda say: say(str(slowest_query(database_url, table, seconds))))


def test_a_migration_waits_for_a_reader_and_names_it(database_url: str, alter: Folder) -> None:
    """Each try that made way says who is there; when the reader has gone, the next one succeeds."""
    with reader(database_url, "a") as connection:
        run = start_up(database_url, alter)
        until(lambda: run.said("0002_b: try 2 made way"))
        pid = connection.info.backend_pid
    run.end()
    assert ledger(database_url) == [1, 2]
    tries = [line for line in run.lines if "made way" in line]
    for line in tries:
        assert f"pid {pid} (user gtsd, application nightly-dump, idle in transaction" in line
        assert "transaction open for" in line
        assert line.endswith("SELECT x FROM a WHERE x = ?")


def test_a_lock_not_had_within_the_budget_ends_the_run(database_url: str, alter: Folder) -> None:
    """Exit code 3; the error names who was in the way, and nothing of the migration is there."""
    began = time.monotonic()
    with reader(database_url, "b") as connection, pytest.raises(LockNotHad) as caught:
        pid = connection.info.backend_pid
        runner.up(database_url, alter.path, budget=0.8)
    assert time.monotonic() - began < 5
    assert caught.value.exit_code == 3
    assert "0002_b: no lock within 0.8 s and" in str(caught.value)
    assert f"pid {pid} (" in str(caught.value)
    assert "ann@example.org" not in str(caught.value)
    assert rows(database_url, "SELECT count(*) FROM pg_attribute WHERE attname = 'y'") == [(0,)]


def test_no_query_waits_long_for_a_migration_that_waits(database_url: str, alter: Folder) -> None:
    """Both tables are read by others all the while a reader is open on the second."""
    with reader(database_url, "b"):
        run = start_up(database_url, alter)
        until(lambda: run.said("made way"))
        others = [queries(database_url, table, 1.5) for table in ("a", "b")]
        slowest = [float(other.end().lines[0]) for other in others]
        assert run.running
    run.end()
    assert max(slowest) < BOUND


def test_without_a_short_lock_timeout_queries_do_wait_long(
    database_url: str, alter: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measurement above would find it: here the first query waits until the reader has gone."""
    monkeypatch.setattr(runner, "LOCK_TIMEOUT", 30.0)
    monkeypatch.setattr(runner, "PATIENCE", 30.0)
    with reader(database_url, "b"):
        run = start_up(database_url, alter)
        other = queries(database_url, "b", 0.2)
        until(lambda: len(rows(database_url, WAITING)) == 2)
        time.sleep(2 * BOUND)
    run.end()
    assert float(other.end().lines[0]) > BOUND


def test_several_locks_do_not_add_up_their_waits(
    database_url: str, alter: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lock_timeout counts for each lock; with it out of the way, the whole try is still bounded."""
    monkeypatch.setattr(runner, "LOCK_TIMEOUT", 30.0)
    with reader(database_url, "b"):
        run = start_up(database_url, alter)
        until(lambda: run.said("made way"))
        slowest = slowest_query(database_url, "a", 1.5)
        assert run.running
    run.end()
    assert slowest < BOUND


def test_the_victim_of_a_deadlock_tries_again(
    database_url: str, alter: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a longer lock_timeout PostgreSQL ends a deadlock; that, too, is a lock not had."""
    monkeypatch.setattr(runner, "LOCK_TIMEOUT", 30.0)
    monkeypatch.setattr(runner, "PATIENCE", 30.0)
    with reader(database_url, "b") as connection:
        run = start_up(database_url, alter)
        until(lambda: rows(database_url, WAITING))
        # It waited first, so it is the first to look for a deadlock, and so the victim.
        connection.cursor().execute("SELECT x FROM a")
        until(lambda: run.said("made way"))
    run.end()
    assert ledger(database_url) == [1, 2]
