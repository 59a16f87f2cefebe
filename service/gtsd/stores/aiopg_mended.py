"""aiopg 1.4.0 with its defects mended: a connection and a pool to use in place of its own.

aiopg has had no release since 2022, so nobody else will mend it. Each override says what goes
wrong without it; ``tests/api/stores/test_postgres_mended.py`` shows each both ways, against a real
server.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import aiopg
import psycopg2
from loguru import logger
from psycopg2 import extensions

_MENDED_VERSION: Final = "1.4.0"
if aiopg.__version__ != _MENDED_VERSION:
    raise ImportError(
        f"aiopg {aiopg.__version__} is installed, but the overrides here were made for the "
        f"internals of {_MENDED_VERSION}: compare them, then change this version."
    )

Resolve = Callable[[], Awaitable[str]]


class Connection(aiopg.Connection):
    """One session of the server; one statement at a time."""

    _connecting = True

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
            # it fails with FileNotFoundError or waits for ever; under uvloop it breaks later
            # connections, too. Nothing may be watched while the socket can change.
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
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
        elif self._fileno is None:
            self._watch(state)
        else:
            self._watch_writing(wanted=state == extensions.POLL_WRITE)

    def _connecting_ended(self) -> None:
        if self._connecting:
            self._connecting = False
            self._watch(extensions.POLL_READ)

    def _fail(self, error: BaseException) -> None:
        if self._conn.closed or self._connecting:
            # libpq has closed the socket already. If its number stayed registered, the next
            # socket of the process that gets the same number would never be heard of.
            self._unwatch()
            self._notifies_proxy.close(error)  # type: ignore[arg-type]  # both are Exceptions
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
        expiry = None if timeout is None else self._loop.call_later(timeout, _expire, waiter)
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

    def mark_used(self) -> None:
        """Start counting idleness from now."""
        self._last_usage = self._loop.time()

    def is_usable(self) -> bool:
        """Whether the session is alive as far as can be known without asking the server.

        Reads what has already arrived: after a restart of the server that is its good-bye, which
        the event loop may not have seen yet. Nothing has been sent then, so another can be taken.
        """
        if not self._conn.closed:
            try:
                self._conn.poll()
            except (psycopg2.Warning, psycopg2.Error) as error:
                self._fail(error)
        return not self._conn.closed


class Pool(aiopg.Pool):
    """Connections that are opened when they are needed, at most ``maxsize``.

    aiopg's pool connects inside the lock that every caller needs, so that one slow connect delays
    all; asserts that an idle connection is open, though it may die while another is being opened;
    and does not wake a waiter when a connection comes back closed or inside a transaction. Here
    callers wait for a future, and connections are opened by tasks of their own: who gives up
    waiting neither aborts a connect nor holds up anyone else.
    """

    def __init__(
        self, resolve: Resolve, *, maxsize: int, connect_timeout: float, recycle: float
    ) -> None:
        """``resolve`` gives the DSN, anew for each connect; ``recycle`` is the longest idleness."""
        super().__init__(
            "",
            0,
            maxsize,
            connect_timeout,
            enable_json=False,  # psycopg2 registers it once for all connections
            enable_hstore=False,  # would cost a query for each connect
            enable_uuid=True,
            echo=False,
            on_connect=None,
            pool_recycle=recycle,
        )
        self._resolve = resolve
        self.limit = maxsize
        self._waiters: deque[asyncio.Future[Connection]] = deque()
        self._opening: set[asyncio.Task[Connection]] = set()

    @property
    def waiting(self) -> int:
        """How many callers wait for a connection."""
        return len(self._waiters)

    @property
    def used(self) -> int:
        """How many connections are in the hands of callers."""
        return len(self._used)

    async def take(self, timeout: float | None) -> Connection:
        """A connection, to be returned with ``give_back``.

        Raises TimeoutError when none came free in time, and psycopg2.Error or OSError when one
        could not be opened.
        """
        while True:
            connection = self._take_idle() or await self._wait(timeout)
            if not connection.closed:
                return connection
            self.give_back(connection)  # died on its way to us

    def give_back(self, connection: Connection) -> None:
        """Make a connection free for others; one inside a transaction is closed."""
        if connection in self._terminated:
            self._terminated.remove(connection)
            return
        self._used.remove(connection)
        raw = connection.raw
        if not raw.closed and (
            self._closing or raw.get_transaction_status() != extensions.TRANSACTION_STATUS_IDLE
        ):
            connection.close()
        if raw.closed:
            self._open_for_waiters()
        else:
            self._offer(connection)

    def warm_up(self) -> None:
        """Open one connection in the background, if there is none; a failure is only logged."""
        if self.size == 0:
            self._start_opening()

    async def _acquire(self) -> Connection:
        return await self.take(self._timeout)

    def release(self, conn: aiopg.Connection) -> asyncio.Future[None]:
        """What aiopg's own context managers call."""
        self.give_back(cast(Connection, conn))
        return asyncio.ensure_future(self._wakeup())

    def close(self) -> None:
        """Hand out nothing more; a connection in use is closed when it is given back."""
        super().close()
        for task in self._opening:
            task.cancel()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(_pool_closed())

    async def wait_closed(self) -> None:
        """Wait until every connection is back and closed."""
        await asyncio.gather(*self._opening, return_exceptions=True)
        await super().wait_closed()

    def _take_idle(self) -> Connection | None:
        if self._closing:
            raise _pool_closed()
        while self._free:
            # The latest used, so that those beyond need grow old and go.
            connection = cast(Connection, self._free.pop())
            if not self._is_stale(connection) and connection.is_usable():
                self._used.add(connection)
                return connection
            connection.close()
        return None

    def _is_stale(self, connection: aiopg.Connection) -> bool:
        return self._loop.time() - connection.last_usage > self._recycle

    def _offer(self, connection: Connection) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._used.add(connection)
                waiter.set_result(connection)
                return
        connection.mark_used()
        self._free.append(connection)
        if self._is_stale(self._free[0]):
            self._free.popleft().close()

    async def _wait(self, timeout: float | None) -> Connection:
        waiter: asyncio.Future[Connection] = self._loop.create_future()
        self._waiters.append(waiter)
        self._open_for_waiters()
        expiry = None if timeout is None else self._loop.call_later(timeout, _expire, waiter)
        try:
            return await waiter
        except BaseException:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            elif waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                # Cancelled at the moment of getting one: the next in the queue must have it.
                self.give_back(waiter.result())
            raise
        finally:
            if expiry is not None:
                expiry.cancel()

    def _open_for_waiters(self) -> None:
        while len(self._opening) < len(self._waiters) and self.size < self.limit:
            self._start_opening()

    def _start_opening(self) -> None:
        self._acquiring += 1
        task = self._loop.create_task(self._open())
        self._opening.add(task)
        task.add_done_callback(self._opened)

    async def _open(self) -> Connection:
        connection = Connection(
            await self._resolve(),
            self._timeout,
            enable_json=self._enable_json,
            enable_hstore=self._enable_hstore,
            enable_uuid=self._enable_uuid,
        )
        return await connection  # type: ignore[return-value]  # aiopg names its own class

    def _opened(self, task: asyncio.Task[Connection]) -> None:
        self._acquiring -= 1
        self._opening.remove(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is None and self._closing:
            task.result().close()
        elif error is None:
            self._offer(task.result())
        else:
            self._refuse(error)
        self._open_for_waiters()

    def _refuse(self, error: BaseException) -> None:
        """Tell the first in the queue at once: it need not wait to learn that nothing listens."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(error)
                return
        logger.warning("PostgreSQL cannot be reached, nobody waits for it now: {}", error)


def _expire(waiter: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


def _pool_closed() -> psycopg2.InterfaceError:
    return psycopg2.InterfaceError("the pool is closed")
