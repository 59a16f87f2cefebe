"""Several statements of which all take effect, or none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final

import psycopg2
from loguru import logger
from psycopg2 import errorcodes

from gtsd.errors import DeadlineExceeded, DependencyUnavailable
from gtsd.stores.aiopg_mended import Connection
from gtsd.stores.postgres_errors import QueryFailed, loggable
from gtsd.stores.postgres_link import Link, limit, time_left, timeout_ms
from gtsd.stores.postgres_session import Fetch, Query, Statements

_COMMIT: Final = Query("commit", "COMMIT")
_ROLLBACK_SECONDS: Final = 1.0


class Transaction(Statements):
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
        self._busy = False
        self._over = False

    def after_commit(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Have something done once the changes are visible to others, before the caller goes on.

        It cannot undo them: if it fails, that is logged and the caller does not learn of it.
        """
        self._callbacks.append(callback)

    async def finish(self, error: BaseException | None) -> None:
        """End it: COMMIT, or ROLLBACK after an error; then nothing more can be done with it."""
        self._over = True
        try:
            if self._busy or not isinstance(error, Exception | None):
                self._abandon()
            elif error is None:
                await self._commit()
            else:
                await self._roll_back()
        finally:
            self._release()
        if error is None:
            if self._busy:
                raise RuntimeError("the transaction ended while a statement of it was running")
            await self._tell()

    async def _run(self, query: Query, params: dict[str, Any], fetch: Fetch) -> Any:
        if self._over or self._busy:
            raise RuntimeError("the transaction is over, or runs another statement at the moment")
        if self._failure is not None:
            # As the server would say. It might not: if BEGIN was never sent, this would go through.
            raise QueryFailed(query.name, errorcodes.IN_FAILED_SQL_TRANSACTION)
        self._busy = True
        try:
            if self._connection is None:
                return await self._begin(query, params, fetch)
            return await self._send(self._connection, query, params, fetch)
        except Exception as error:
            self._failure = error
            raise
        finally:
            self._busy = False

    async def _begin(self, query: Query, params: dict[str, Any], fetch: Fetch) -> Any:
        connection = await self._take(query.name)
        try:
            return await self._send(connection, query, params, fetch, "BEGIN; ")
        except DependencyUnavailable:
            if not connection.closed or self._over:
                raise
        # Lost before anything could be committed, so nothing has happened: once more, on another.
        self._release()
        connection = await self._take(query.name)
        return await self._send(connection, query, params, fetch, "BEGIN; ")

    async def _take(self, operation: str) -> Connection:
        connection = await self._link.take(operation)
        if self._over:
            self._link.pool.give_back(connection)
            raise RuntimeError("the transaction ended while a statement of it was starting")
        self._connection = connection
        return connection

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
        if connection is None or connection.is_idle():
            return
        try:
            await connection.run("ROLLBACK", None, _ROLLBACK_SECONDS)
        except (psycopg2.Error, TimeoutError) as error:
            # The server rolls back when the connection ends.
            connection.close()
            logger.debug("database: closed a connection instead of a rollback: {}", loggable(error))

    def _abandon(self) -> None:
        """Without waiting for anything, as after a cancellation: the server rolls back."""
        if self._connection is not None:
            self._connection.close()

    def _release(self) -> None:
        if self._connection is not None:
            self._link.pool.give_back(self._connection)
            self._connection = None

    async def _tell(self) -> None:
        for callback in self._callbacks:
            try:
                await callback()
            # What is committed must not be answered as a failure, whatever comes now.
            except Exception as error:  # noqa: BLE001 - a boundary, and it logs
                logger.opt(exception=error).error("database: a callback after COMMIT failed")


class Scope(AbstractAsyncContextManager[Transaction]):
    """``async with`` commits at its end, and rolls back when an exception leaves it."""

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


def _tag(cursor: Any) -> str:
    return str(cursor.statusmessage)
