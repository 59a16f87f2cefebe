"""PostgreSQL: statements and transactions, each bounded by the deadline of the request.

A statement goes out with its own ``statement_timeout`` in the same message, so that the server
stops it when nobody will wait for it any longer.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final

from loguru import logger

from gtsd.deadline import within
from gtsd.errors import Unavailable
from gtsd.stores.postgres_errors import ConstraintViolated, NotPrepared, QueryFailed, Retryable
from gtsd.stores.postgres_link import Link, PoolState, limit, time_left, timeout_ms
from gtsd.stores.postgres_prepared import prepared
from gtsd.stores.postgres_session import Fetch, Query, Row, Session, Statements
from gtsd.stores.postgres_transaction import Scope, Transaction

if TYPE_CHECKING:
    from gtsd.settings import Settings
    from gtsd.stores.aiopg_mended import Connection
    from gtsd.telemetry.metrics import Metrics

__all__ = [
    "ConstraintViolated",
    "PoolState",
    "Postgres",
    "Query",
    "QueryFailed",
    "Retryable",
    "Row",
    "Session",
    "Transaction",
]

_PING: Final = Query("ping", "SELECT 1")
_CLOSE_SECONDS: Final = 5.0


class Postgres(Statements):
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
        return Scope(self._link)

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
            opening = "" if left is None else limit(timeout_ms(left))
            if query.prepared:
                return await self._run_prepared(connection, query, opening, params, fetch)
            return await link.send(connection, query, opening + query.sql, params or None, fetch)
        finally:
            link.pool.give_back(connection)

    async def _run_prepared(
        self,
        connection: Connection,
        query: Query,
        opening: str,
        params: dict[str, Any],
        fetch: Fetch,
    ) -> Any:
        how, send = prepared(query), self._link.send
        if query.name in connection.prepared:
            try:
                return await send(connection, query, opening + how.execute, params, fetch)
            except NotPrepared:
                pass  # so nothing was done: PgBouncer has given us another session
        message = opening + how.prepare + how.execute
        answer = await send(connection, query, message, params, fetch)
        connection.prepared.add(query.name)
        return answer
