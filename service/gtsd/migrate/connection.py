"""The one session that changes the schema, and a second one that watches what it waits for."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Any, Self

import psycopg2
from psycopg2 import extensions

from gtsd.migrate.blockers import BLOCKERS, Blocker
from gtsd.migrate.errors import MigrationError

CONNECT_TIMEOUT = 10
# How often a statement that has not ended is looked at, in seconds.
SAMPLE = 0.05

# A runner whose host vanished must lose its lock: the server looks after dead clients by itself.
_SESSION = """
SET search_path TO public;
SET client_connection_check_interval TO '1s';
SET idle_in_transaction_session_timeout TO '60s';
SET tcp_keepalives_idle TO 20; SET tcp_keepalives_interval TO 5; SET tcp_keepalives_count TO 3
"""


def connected(database_url: str, name: str) -> extensions.connection:
    """A connection of one command, by whose name the server knows it; raises psycopg2.Error."""
    opened: extensions.connection = psycopg2.connect(
        database_url,
        application_name=name,
        client_encoding="UTF8",
        connect_timeout=CONNECT_TIMEOUT,
    )
    return opened


class Blocked(Exception):
    """A lock was not had in time; the statement had no effect."""

    def __init__(self, blockers: Sequence[Blocker]) -> None:
        self.blockers = blockers
        super().__init__("lock not had in time")


class Link:
    """A direct connection to PostgreSQL; refuses poolers, in which a session lock means nothing."""

    def __init__(self, database_url: str, application: str) -> None:
        dsn = extensions.make_dsn(
            database_url, application_name=application[:63], client_encoding="UTF8"
        )
        with ExitStack() as opened:
            try:
                self._observer = psycopg2.connect(dsn, connect_timeout=CONNECT_TIMEOUT)
                opened.callback(self._observer.close)
                self._observer.autocommit = True
                self._session = psycopg2.connect(dsn, async_=True)
                opened.callback(self._session.close)
                self._await(time.monotonic() + CONNECT_TIMEOUT)
                self.backend_pid = self._ask_backend_pid()
                self._refuse_pooler()
                self.run(_SESSION)
            except psycopg2.Error as error:
                raise MigrationError(f"cannot connect to the database: {said(error)}") from error
            self._opened = opened.pop_all()

    def _ask_backend_pid(self) -> int:
        # Not by run(), which looks who is in the way of this number when the answer takes a while.
        with self._session.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            self._await(time.monotonic() + CONNECT_TIMEOUT)
            row = cursor.fetchone()
        return int(row[0]) if row else 0

    def _refuse_pooler(self) -> None:
        # What a pooler tells at login is a number of its own.
        if self.backend_pid != self._session.info.backend_pid:
            raise MigrationError(
                "the connection goes through a pooler (the session's process is not the one that"
                " answers): give the address of PostgreSQL itself"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends both sessions, and with them the advisory lock."""
        self._opened.close()

    def value(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """First column of the first row, None without one; on the session that has the locks."""
        row = self.run(sql, parameters)
        return row[0] if row else None

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """On the watching session: these see committed data only, and never wait behind a lock."""
        with self._observer.cursor() as cursor:
            cursor.execute(sql, parameters)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    def limit(self, *, lock_seconds: float, statement_seconds: float) -> None:
        """From here on; 0 for a statement is no limit, while a lock always has one."""
        lock_ms = max(1, round(lock_seconds * 1000))
        self.run(f"SET lock_timeout TO {lock_ms}")
        self.run(f"SET statement_timeout TO {round(statement_seconds * 1000)}")

    def run(
        self,
        sql: str,
        parameters: Sequence[Any] = (),
        *,
        patience: float = float("inf"),
        on_wait: Callable[[Sequence[Blocker]], None] = lambda _: None,
    ) -> tuple[Any, ...] | None:
        """Execute, and return the last statement's first row.

        Whoever blocks it is reported to ``on_wait`` when that changes. Waiting for more than
        ``patience`` seconds altogether cancels it. Raises Blocked, psycopg2.Error.
        """
        watch = _Watch(self, patience, on_wait)
        cursor = self._session.cursor()
        try:
            # Without parameters the text goes as it is: a % in a migration is a %.
            cursor.execute(sql, parameters or None)
            self._await(None, watch.look)
        except psycopg2.Error as error:
            # 55P03: lock_timeout. 40P01: the other one of a deadlock went on. 57014: cancelled.
            if error.pgcode in {"55P03", "40P01"} or (watch.cancelled and error.pgcode == "57014"):
                raise Blocked(watch.blockers) from error
            raise
        except BaseException:
            self.cancel()
            raise
        return cursor.fetchone() if cursor.description else None

    def cancel(self) -> None:
        """Ask the server to stop what the session does."""
        with suppress(psycopg2.Error):
            self.rows("SELECT pg_cancel_backend(%s)", [self.backend_pid])

    def blockers(self) -> list[Blocker]:
        """Who is in the way right now."""
        return [Blocker(*row) for row in self.rows(BLOCKERS, [self.backend_pid])]

    def _await(self, until: float | None, look: Callable[[], None] = lambda: None) -> None:
        """Poll the asynchronous session to its next idle moment; ``look`` runs while it is busy."""
        while (state := self._session.poll()) != extensions.POLL_OK:
            if until is not None and time.monotonic() > until:
                raise psycopg2.OperationalError("timeout expired")
            wanted = select.POLLIN if state == extensions.POLL_READ else select.POLLOUT
            # A new one each time: with several hosts the descriptor changes underway.
            poller = select.poll()
            poller.register(self._session.fileno(), wanted)
            if not poller.poll(SAMPLE * 1000):
                look()


class _Watch:
    """What one statement waited for, and for how long."""

    def __init__(
        self, link: Link, patience: float, on_wait: Callable[[Sequence[Blocker]], None]
    ) -> None:
        self._link = link
        self._patience = patience
        self._on_wait = on_wait
        self._seen = time.monotonic()
        self.blockers: list[Blocker] = []
        self.cancelled = False

    def look(self) -> None:
        now, before = time.monotonic(), self._seen
        self._seen = now
        blockers = self._link.blockers()
        if not blockers:
            return
        if {b.pid for b in blockers} != {b.pid for b in self.blockers}:
            self._on_wait(blockers)
        self.blockers = blockers
        self._patience -= now - before
        if self._patience < 0 and not self.cancelled:
            self.cancelled = True
            self._link.cancel()


def said(error: psycopg2.Error) -> str:
    """The server's message on one line, without its details: those quote rows."""
    return " ".join((error.diag.message_primary or str(error)).split())
