"""What the tests of migrations share: small folders, and sessions that are in the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import extensions

from gtsd.migrate import runner

_HEADER = "-- purpose: a test\n-- phase: {phase}\n-- lock: none\n-- undo: takes it back\n{none}\n"


class Folder:
    """A folder of migrations that is written file by file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def add(
        self,
        name: str,
        up: str,
        undo: str = "SELECT 1;",
        *,
        phase: str = "expand",
        none: bool = False,
    ) -> Folder:
        """A migration and its undo; ``none`` is for statements outside a transaction."""
        line = "-- transaction: none\n" if none else ""
        self.write(f"{name}.sql", _HEADER.format(phase=phase, none=line) + up)
        return self.write(f"{name}.undo.sql", line + undo)

    def write(self, file: str, text: str) -> Folder:
        """A file as it is."""
        (self.path / file).write_text(text)
        return self


@contextmanager
def session(database_url: str, application: str = "test") -> Iterator[extensions.connection]:
    """A connection in a transaction of its own, rolled back at the end."""
    connection = psycopg2.connect(database_url, application_name=application)
    try:
        yield connection
    finally:
        connection.close()


def rows(database_url: str, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """What a query finds; committed."""
    with session(database_url) as connection, connection.cursor() as cursor:
        cursor.execute(sql, values)
        found = cursor.fetchall() if cursor.description else []
        connection.commit()
        return found


def until(happened: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for something that must happen."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def backends(database_url: str, part: str) -> list[int]:
    """The processes of other sessions whose statement has this part."""
    found = rows(
        database_url,
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND state <> 'idle' AND position(%s IN query) > 0 AND pid <> pg_backend_pid()",
        part,
    )
    return [pid for (pid,) in found]


def tables(database_url: str) -> list[str]:
    """The names of the tables, without the ledger."""
    found = rows(
        database_url,
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        " AND tablename <> 'gtsd_migrations' ORDER BY 1",
    )
    return [name for (name,) in found]


def ledger(database_url: str) -> list[int]:
    """The numbers that the ledger has."""
    return [n for (n,) in rows(database_url, "SELECT number FROM gtsd_migrations ORDER BY 1")]


def invalid_indexes(database_url: str) -> list[str]:
    """What an interrupted CREATE INDEX CONCURRENTLY leaves."""
    found = rows(
        database_url, "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
    )
    return [name for (name,) in found]


class Run:
    """A call that goes on in a thread of its own, and what it said so far."""

    def __init__(self, call: Callable[[Callable[[str], None]], object]) -> None:
        self.lines: list[str] = []
        self.error: BaseException | None = None
        self._call = call
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._call(self.lines.append)
        except BaseException as error:  # noqa: BLE001 - handed to the test, in its own thread
            self.error = error

    def said(self, words: str) -> bool:
        """Whether a line has these words."""
        return any(words in line for line in list(self.lines))

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self._thread.is_alive()

    def end(self) -> Run:
        """Wait for the end; raises what the call raised."""
        self._thread.join(30)
        assert not self.running
        if self.error is not None:
            raise self.error
        return self


def start_up(database_url: str, folder: Folder, budget: float = 20.0) -> Run:
    """``up`` in the background."""
    return Run(
        lambda say: runner.up(database_url, folder.path, options=runner.Options(budget, say=say))
    )
