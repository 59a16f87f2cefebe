"""One runner at a time, however many start, and only on a connection where that can be known."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from psycopg2 import extensions

from gtsd.migrate import connection, runner
from gtsd.migrate.errors import LockNotHad, MigrationError
from gtsd.migrate.runner_lock import KEY
from tests.api.migrate.support import Folder, Run, ledger, session, start_up, tables, until

RUNNERS = 10


@pytest.fixture
def slow(database_url: str, folder: Folder) -> Folder:
    """A migration that waits as long as a test reads the table ``a``."""
    folder.add("0001_a", "CREATE TABLE a (x text);")
    runner.up(database_url, folder.path)
    folder.add("0002_b", "ALTER TABLE a ADD COLUMN y text;")
    return folder.add("0003_c", "CREATE TABLE c (x text);")


def test_of_ten_runners_one_works_and_the_others_find_nothing_to_do(
    database_url: str, slow: Folder
) -> None:
    """Nine of them wait, and say for whom."""
    with session(database_url) as reader:
        reader.cursor().execute("SELECT x FROM a")
        runs = [start_up(database_url, slow) for _ in range(RUNNERS)]
        until(lambda: sum(run.said("another migration runs: pid") for run in runs) == RUNNERS - 1)
        until(lambda: any(run.said("made way") for run in runs))
    for run in runs:
        run.end()
    assert sum(run.said("0002_b applied") for run in runs) == 1
    assert sum(run.said("0003_c applied") for run in runs) == 1
    assert ledger(database_url) == [1, 2, 3]
    waits = next(line for run in runs for line in run.lines if "another migration" in line)
    assert ", gtsd migrate up on " in waits
    assert ", since 20" in waits


def test_without_the_lock_runners_do_collide(
    database_url: str, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several try to create the same table, and all but one fail."""
    monkeypatch.setattr(runner, "become_the_only_runner", lambda *_: None)
    folder.add("0001_a", "CREATE TABLE a (x text);")
    runner.up(database_url, folder.path)
    folder.add("0002_b", "ALTER TABLE a ADD COLUMN y text;")
    with session(database_url) as reader:
        reader.cursor().execute("SELECT x FROM a")
        runs = [start_up(database_url, folder) for _ in range(2)]
        until(lambda: all(run.said("made way") for run in runs))
    outcomes = []
    for run in runs:
        try:
            run.end()
            outcomes.append("applied")
        except MigrationError:
            outcomes.append("failed")
    assert sorted(outcomes) == ["applied", "failed"]


def test_a_runner_that_waited_in_vain_names_the_other_one(database_url: str, slow: Folder) -> None:
    """Exit code 3; nothing was done."""
    with session(database_url, "somebody's psql") as other:
        other.cursor().execute("SELECT pg_advisory_lock(%s, %s)", KEY)
        with pytest.raises(LockNotHad, match="pid .*, somebody's psql, since .* Nothing done"):
            runner.up(database_url, slow.path, budget=0.3)
    assert tables(database_url) == ["a"]


def test_a_lock_in_another_database_is_no_hindrance(
    database_url: str, migrated_database_url: str, folder: Folder
) -> None:
    """Databases on one server are migrated side by side."""
    folder.add("0001_a", "CREATE TABLE a (x text);")
    with session(migrated_database_url) as other:
        other.cursor().execute("SELECT pg_advisory_lock(%s, %s)", KEY)
        assert len(runner.up(database_url, folder.path, budget=1.0)) == 1


def test_a_holder_that_has_just_gone_is_no_error(
    database_url: str, slow: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the question and the look, it may end."""
    monkeypatch.setattr("gtsd.migrate.runner_lock._HOLDER", "SELECT 1 WHERE (%s, %s) IS NULL")
    with session(database_url) as other:
        other.cursor().execute("SELECT pg_advisory_lock(%s, %s)", KEY)
        with pytest.raises(LockNotHad, match="it has just ended"):
            runner.up(database_url, slow.path, budget=0.2)


def test_a_connection_through_a_pooler_is_refused(database_url: str, folder: Folder) -> None:
    """There a session's lock may end up with somebody else."""
    folder.add("0001_a", "CREATE TABLE a (x text);")
    with pooler(database_url, changed=1) as url, pytest.raises(MigrationError, match="pooler"):
        runner.up(url, folder.path)
    assert tables(database_url) == []


def test_a_server_that_is_slow_to_answer_is_no_problem(
    database_url: str, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every answer counts as late here, from the first one on."""
    monkeypatch.setattr(connection, "SAMPLE", 0)
    folder.add("0001_a", "CREATE TABLE a (x text);")
    for _ in range(10):  # some answers are there at once
        runner.up(database_url, folder.path)
    assert ledger(database_url) == [1]


def test_a_proxy_that_changes_nothing_is_not_taken_for_a_pooler(
    database_url: str, folder: Folder
) -> None:
    """A tunnel keeps the session together: only what the server said of itself counts."""
    folder.add("0001_a", "CREATE TABLE a (x text);")
    with pooler(database_url, changed=0) as url:
        assert len(runner.up(url, folder.path)) == 1


def test_a_server_that_stops_answering_while_it_is_called_is_told(
    database_url: str, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session opens after the watching one; it must not wait for ever."""
    monkeypatch.setattr("gtsd.migrate.connection.CONNECT_TIMEOUT", 0)
    with pytest.raises(MigrationError, match="cannot connect to the database: timeout expired"):
        runner.up(database_url, folder.path)


@contextmanager
def pooler(database_url: str, changed: int) -> Iterator[str]:
    """Passes everything on, with its own process number in BackendKeyData, as poolers do."""
    parts = extensions.parse_dsn(database_url)
    target = (parts["host"], int(parts["port"]))
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                server = socket.create_connection(target)
                for ends in ((client, server, 0), (server, client, changed)):
                    threading.Thread(target=_copy, args=ends, daemon=True).start()

        Run(lambda _: serve())
        port = str(listener.getsockname()[1])
        yield extensions.make_dsn(database_url, host="127.0.0.1", port=port, sslmode="disable")
        listener.shutdown(socket.SHUT_RDWR)


def _copy(source: socket.socket, sink: socket.socket, changed: int) -> None:
    """Bytes from one to the other; the answer to the login comes in one piece."""
    with closing(source), closing(sink):
        while True:
            try:
                data = source.recv(65536)
                at = data.find(b"K\0\0\0\x0c")
                if changed and at >= 0:
                    (pid,) = struct.unpack_from("!i", data, at + 5)
                    data = data[: at + 5] + struct.pack("!i", pid + changed) + data[at + 9 :]
                    changed = 0
                sink.sendall(data)
            except OSError:
                return
            if not data:
                return
