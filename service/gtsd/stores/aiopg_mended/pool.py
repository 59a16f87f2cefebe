"""A pool in which nobody waits for somebody else's trouble."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, cast

import aiopg
import psycopg2
from loguru import logger

from gtsd.stores.aiopg_mended.connection import Connection, expire

_NONE_FREE: Final = "no connection came free in time"

Resolve = Callable[[], Awaitable[str]]


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
        self._returned = asyncio.Event()

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
        self._returned.set()
        if self._closing or not connection.is_idle():
            connection.close()
        if connection.closed:
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
        done = self._loop.create_future()
        done.set_result(None)
        return done

    def close(self) -> None:
        """Hand out nothing more; a connection in use is closed when it is given back."""
        super().close()
        for task in self._opening:
            task.cancel()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(_pool_closed())

    async def wait_closed(self) -> None:
        """Wait until every connection is back and closed; ``terminate`` brings them all back."""
        while self._free:
            self._free.pop().close()
        await asyncio.gather(*self._opening, return_exceptions=True)
        while self._used:
            self._returned.clear()
            await self._returned.wait()
        self._closed = True

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
        expiry = (
            None if timeout is None else self._loop.call_later(timeout, expire, waiter, _NONE_FREE)
        )
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
        while not self._closing and len(self._opening) < len(self._waiters):
            if self.size >= self.limit:
                return
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


def _pool_closed() -> psycopg2.InterfaceError:
    return psycopg2.InterfaceError("the pool is closed")
