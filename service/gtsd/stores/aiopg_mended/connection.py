"""A connection that survives what happens to servers, sockets and callers."""

from __future__ import annotations

import asyncio
import select
import weakref
from typing import Any

import aiopg
import psycopg2
from psycopg2 import extensions


class Connection(aiopg.Connection):
    """One session of the server; one statement at a time."""

    _connecting = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Names of queries that were prepared over it; behind PgBouncer no more than a guess.
        self.prepared: set[str] = set()

    @staticmethod
    def _ready(weak_self: weakref.ref[Any]) -> None:
        # aiopg's own asks select.select() whether the descriptor is still good, which raises
        # ValueError from descriptor 1024 on: the statement then hangs until its timeout.
        connection = weak_self()
        if connection is not None:
            connection.advance()

    def advance(self) -> None:
        """Let libpq read and write what it can, then wake whoever waits for the outcome."""
        raw = self._conn
        if self._connecting:
            # While connecting, libpq closes its socket and opens another for the next host, the
            # next address of a name, or the next sslmode. aiopg goes on watching the old one, so
            # it fails with FileNotFoundError or waits for ever.
            self._unwatch()
        try:
            state = raw.poll()
        except (psycopg2.Warning, psycopg2.Error) as error:
            self._fail(error)
            return
        while raw.notifies:
            self._notifies.put_nowait(raw.notifies.pop(0))
        if state == extensions.POLL_OK:
            self._connecting_ended()
            self._watch_writing(wanted=False)
            waiter = self._waiter
            if waiter is None:
                self._end_if_told_so()
            elif not waiter.done():
                waiter.set_result(None)
        elif self._fileno is None:
            self._watch(state)
        else:
            self._watch_writing(wanted=state == extensions.POLL_WRITE)

    def _connecting_ended(self) -> None:
        if self._connecting:
            self._connecting = False
            self._watch(extensions.POLL_READ)
            self._good_bye = select.poll()
            self._good_bye.register(self._conn.fileno(), select.POLLIN)

    def _end_if_told_so(self) -> None:
        # "terminating connection due to administrator command": the server says so some time
        # before it closes the socket. A statement sent in between would be lost.
        if self._conn.notices:
            self._close()

    def _fail(self, error: Exception) -> None:
        if self._conn.closed or self._connecting:
            # libpq has closed the socket already. If its number stayed registered, the next
            # socket of the process that gets the same number would never be heard of.
            self._unwatch()
            self._notifies_proxy.close(error)
        else:
            self._watch_writing(wanted=False)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def _watch(self, state: int) -> None:
        self._fileno = self._conn.fileno()
        self._loop.add_reader(self._fileno, self._ready, self._weakref)
        self._watch_writing(wanted=state == extensions.POLL_WRITE)

    def _watch_writing(self, *, wanted: bool) -> None:
        if wanted == self._writing or self._fileno is None:
            return
        self._writing = wanted
        if wanted:
            self._loop.add_writer(self._fileno, self._ready, self._weakref)
        else:
            self._loop.remove_writer(self._fileno)

    def _unwatch(self) -> None:
        if self._fileno is not None and not self._loop.is_closed():
            self._watch_writing(wanted=False)
            self._loop.remove_reader(self._fileno)
        self._fileno = None

    def _close(self) -> None:
        self._unwatch()
        super()._close()

    async def _poll(self, waiter: asyncio.Future[None], timeout: float | None) -> None:
        # aiopg's own turns the server's QueryCanceled (statement_timeout) into CancelledError,
        # which passes every ``except Exception`` and looks like a client that went away. It also
        # uses wait_for(), which before Python 3.12 may lose a cancellation.
        self.advance()
        expiry = None if timeout is None else self._loop.call_later(timeout, expire, waiter)
        try:
            await waiter
        except (asyncio.CancelledError, TimeoutError):
            # The answer may still be on its way: nobody else may ever read it.
            self._close()
            raise
        finally:
            if expiry is not None:
                expiry.cancel()
            self._waiter = None

    async def run(self, sql: str, parameters: Any, timeout: float | None) -> Any:
        """Send one message and wait for its outcome; returns the psycopg2 cursor with the rows.

        Raises psycopg2.Error, or TimeoutError after ``timeout`` seconds, which closes the
        connection; so does a cancellation.
        """
        waiter = self._create_waiter("run")
        try:
            cursor = self._conn.cursor()
            cursor.execute(sql, parameters)
        except BaseException:
            self._waiter = None
            raise
        await self._poll(waiter, timeout)
        return cursor

    def is_idle(self) -> bool:
        """Whether it is outside of a transaction, which a closed one is, too."""
        raw = self._conn
        return bool(
            raw.closed or raw.get_transaction_status() == extensions.TRANSACTION_STATUS_IDLE
        )

    def mark_used(self) -> None:
        """Start counting idleness from now."""
        self._last_usage = self._loop.time()

    def is_usable(self) -> bool:
        """Whether an idle session is alive, as far as can be known without asking the server.

        It has nothing to say but its good-bye, which the event loop may not have seen yet. Nothing
        was sent then, so that the caller can safely take another connection.
        """
        return not self._conn.closed and not self._good_bye.poll(0)


def expire(waiter: asyncio.Future[Any], reason: str = "no answer in time") -> None:
    """Make whoever waits see a TimeoutError, unless the outcome is there already."""
    if not waiter.done():
        waiter.set_exception(TimeoutError(reason))
