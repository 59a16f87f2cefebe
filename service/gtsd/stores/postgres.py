"""PostgreSQL: statements and transactions, each bounded by the deadline of the request.

A statement goes out with its own ``statement_timeout`` in the same message, so that the server
stops it when nobody will wait for it any longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol

import psycopg2
from loguru import logger

from gtsd.deadline import within
from gtsd.errors import DeadlineExceeded, DependencyUnavailable, Unavailable
from gtsd.stores.aiopg_mended import Connection
from gtsd.stores.postgres_errors import ConstraintViolated, QueryFailed, Retryable, loggable
from gtsd.stores.postgres_link import Link, PoolState, Query, limit, time_left, timeout_ms

if TYPE_CHECKING:
    from gtsd.settings import Settings
    from gtsd.telemetry.metrics import Metrics

__all__ = [
    "ConstraintViolated",
    "PoolState",
    "Postgres",
    "Query",
    "QueryFailed",
    "Retryable",
    "Session",
    "Transaction",
]

Row = tuple[Any, ...]
Fetch = Callable[[Any], Any]

_PING: Final = Query("ping", "SELECT 1")
_COMMIT: Final = Query("commit", "COMMIT")
_ROLLBACK_SECONDS: Final = 1.0
_CLOSE_SECONDS: Final = 5.0


class Session(Protocol):
    """Where a statement may run: on its own, or as a part of a transaction.

    Parameters are written ``%(name)s`` in the SQL; then a literal percent sign is ``%%``. Raises
    what ``postgres_errors`` lists.
    """

    async def row(self, query: Query, **params: Any) -> Row | None:
        """The first row, or None."""
        ...

    async def rows(self, query: Query, **params: Any) -> list[Row]:
        """Every row."""
        ...

    async def value(self, query: Query, **params: Any) -> Any:
        """The first column of the first row; None also where there is no row."""
        ...

    async def execute(self, query: Query, **params: Any) -> int:
        """How many rows were changed or found."""
        ...


class _Statements:
    async def _run(self, query: Query, params: dict[str, Any], fetch: Fetch) -> Any:
        raise NotImplementedError

    async def row(self, query: Query, **params: Any) -> Row | None:
        row: Row | None = await self._run(query, params, _first)
        return row

    async def rows(self, query: Query, **params: Any) -> list[Row]:
        rows: list[Row] = await self._run(query, params, _all)
        return rows

    async def value(self, query: Query, **params: Any) -> Any:
        row = await self._run(query, params, _first)
        return None if row is None else row[0]

    async def execute(self, query: Query, **params: Any) -> int:
        count: int = await self._run(query, params, _count)
        return count


class Transaction(_Statements):
    """All of its statements take effect, or none does.

    The connection is taken, and BEGIN sent, together with the first statement: one round trip
    less. A failed statement fails the whole, even if its exception is caught inside.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._connection: Connection | None = None
        self._timeout_ms: int | None = None
        self._failure: Exception | None = None
        self._callbacks: list[Callable[[], Awaitable[None]]] = []
        self._busy = False  # stays True once the transaction is over

    def after_commit(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Have something done once the changes are visible to others, before the caller goes on.

        It cannot undo them: if it fails, that is logged and the caller does not learn of it.
        """
        self._callbacks.append(callback)

    async def _run(self, query: Query, params: dict[str, Any], fetch: Fetch) -> Any:
        if self._busy:
            raise RuntimeError("the transaction is over, or runs another statement at the moment")
        self._busy = True
        try:
            if self._connection is None:
                return await self._begin(query, params, fetch)
            return await self._send(self._connection, query, params, fetch)
        except (ConstraintViolated, QueryFailed, Unavailable) as error:
            self._failure = error
            raise
        finally:
            self._busy = False

    async def _begin(self, query: Query, params: dict[str, Any], fetch: Fetch) -> Any:
        self._connection = await self._link.take(query.name)
        try:
            return await self._send(self._connection, query, params, fetch, "BEGIN; ")
        except DependencyUnavailable:
            if not self._connection.closed:
                raise
        # Lost before anything could be committed, so nothing has happened: once more, on another.
        self._release()
        self._connection = await self._link.take(query.name)
        return await self._send(self._connection, query, params, fetch, "BEGIN; ")

    async def _send(
        self,
        connection: Connection,
        query: Query,
        params: dict[str, Any] | None,
        fetch: Fetch,
        opening: str = "",
    ) -> Any:
        left = time_left()
        bound = None if left is None else timeout_ms(left)
        if bound is None or (bound == self._timeout_ms and not opening):
            message = opening + query.sql  # SET LOCAL holds to the end of the transaction
        else:
            message = opening + limit(bound) + query.sql
            self._timeout_ms = bound
        return await self._link.send(connection, query, message, params or None, fetch)

    async def finish(self, error: BaseException | None) -> None:
        """End it: COMMIT, or ROLLBACK after an error; then nothing more can be done with it."""
        if self._busy:
            raise RuntimeError("a statement of the transaction is still running")
        self._busy = True
        try:
            if error is None:
                await self._commit()
            elif isinstance(error, Exception):
                await self._roll_back()
            elif self._connection is not None:
                self._connection.close()  # cancelled: wait for nothing; the server rolls back
        finally:
            self._release()
        if error is None:
            await self._tell()

    async def _commit(self) -> None:
        connection = self._connection
        if self._failure is not None:
            await self._roll_back()
            raise self._failure
        if connection is None:
            return
        try:
            tag = await self._send(connection, _COMMIT, None, _tag)
        except DeadlineExceeded:
            if connection.closed:
                # No answer in time: whether it was committed is not known.
                raise DependencyUnavailable("database") from None
            await self._roll_back()
            raise
        if tag != "COMMIT":
            raise RuntimeError(f"the transaction ended with {tag}")

    async def _roll_back(self) -> None:
        connection = self._connection
        if connection is None or connection.closed:
            return
        try:
            await connection.run("ROLLBACK", None, _ROLLBACK_SECONDS)
        except (psycopg2.Error, TimeoutError) as error:
            # The server rolls back when the connection ends.
            connection.close()
            logger.debug("database: closed a connection instead of a rollback: {}", loggable(error))

    def _release(self) -> None:
        if self._connection is not None:
            self._link.pool.give_back(self._connection)
            self._connection = None

    async def _tell(self) -> None:
        for callback in self._callbacks:
            try:
                await callback()
            except Exception as error:  # noqa: BLE001 - a boundary: it is committed, and must not be answered as a failure
                logger.opt(exception=error).error("database: a callback after COMMIT failed")


class _Scope(AbstractAsyncContextManager[Transaction]):
    def __init__(self, link: Link) -> None:
        self._transaction = Transaction(link)

    async def __aenter__(self) -> Transaction:
        return self._transaction

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._transaction.finish(error)


class Postgres(_Statements):
    """The database; a statement outside of a transaction takes effect on its own."""

    def __init__(self, link: Link) -> None:
        self._link = link

    @classmethod
    async def open(cls, settings: Settings, metrics: Metrics) -> Postgres:
        """Does not need the server: connections are opened when they are first needed."""
        link = Link(settings, metrics)
        link.pool.warm_up()
        return cls(link)

    async def close(self) -> None:
        """Wait a while for connections in use, then close them all."""
        pool = self._link.pool
        pool.close()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await pool.wait_closed()
        except TimeoutError:
            logger.warning("database: {} connections were still in use at the end", pool.used)
            pool.terminate()
            await pool.wait_closed()

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """``async with`` commits at its end, and rolls back when an exception leaves it."""
        return _Scope(self._link)

    async def ping(self, timeout: float) -> bool:
        """Whether the server answers within so many seconds."""
        try:
            with within(timeout):
                return bool(await self.value(_PING) == 1)
        except (Unavailable, QueryFailed):
            return False

    @property
    def pool_state(self) -> PoolState:
        """As it is at the moment."""
        pool = self._link.pool
        return PoolState(pool.size, pool.used, pool.waiting, pool.limit)

    async def _run(self, query: Query, params: dict[str, Any], fetch: Fetch) -> Any:
        # Never a second time: a statement that was sent may have taken effect.
        link = self._link
        connection = await link.take(query.name)
        try:
            left = time_left()
            message = query.sql if left is None else limit(timeout_ms(left)) + query.sql
            return await link.send(connection, query, message, params or None, fetch)
        finally:
            link.pool.give_back(connection)


def _first(cursor: Any) -> Any:
    return cursor.fetchone()


def _all(cursor: Any) -> Any:
    return cursor.fetchall()


def _count(cursor: Any) -> int:
    return int(cursor.rowcount)


def _tag(cursor: Any) -> str:
    return str(cursor.statusmessage)
