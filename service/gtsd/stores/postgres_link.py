"""One message to the server and back: its deadline, metric and span, and what a failure means."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import psycopg2
import psycopg2.errors

from gtsd.deadline import remaining
from gtsd.errors import DeadlineExceeded, DependencyUnavailable
from gtsd.stores import postgres_dsn
from gtsd.stores.aiopg_mended import Connection, Pool
from gtsd.stores.postgres_errors import NotPrepared, leads_astray, log_failure, translated
from gtsd.stores.postgres_session import Query
from gtsd.telemetry.metrics import QueryError
from gtsd.telemetry.tracing import CLIENT, span

if TYPE_CHECKING:
    from prometheus_client import Histogram

    from gtsd.settings import Settings
    from gtsd.telemetry.metrics import Metrics

T = TypeVar("T")

_SPAN: Final = {"db.system.name": "postgresql"}
_IDLE_SECONDS: Final = 600.0
# The server's own timeout comes first; ours is for a server that does not answer at all.
_GRACE_SECONDS: Final = 0.25
# How soon the server notices that the client of a running statement has gone, and stops it. Not
# psycopg2's cancel(): it holds the interpreter's lock meanwhile, for 134 s with a silent server.
_CLIENT_CHECK_MS: Final = 200
_NOT_REPLICATED: Final = "synchronous replication"


class PoolState(NamedTuple):
    """Connections open and in use, callers in the queue, and how many connections are allowed."""

    size: int
    used: int
    waiting: int
    limit: int


class Link:
    """The pool, and the one way in which a statement goes over one of its connections."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Raises ValueError for a DSN that libpq does not understand."""
        parameters = postgres_dsn.complete(settings.database_url, settings.database_connect_timeout)
        self.pool = Pool(
            partial(postgres_dsn.resolved, parameters),
            maxsize=settings.pool_size,
            connect_timeout=settings.database_connect_timeout * postgres_dsn.host_count(parameters),
            recycle=_IDLE_SECONDS,
        )
        self._pool_timeout = settings.database_pool_timeout
        self._metrics = metrics
        self._durations: dict[str, Histogram] = {}
        metrics.pool_limit.set(settings.pool_size)
        metrics.pool_size.set_function(lambda: self.pool.size)
        metrics.pool_used.set_function(lambda: self.pool.used)
        metrics.pool_waiting.set_function(lambda: self.pool.waiting)

    async def take(self, operation: str) -> Connection:
        """A connection; raises DeadlineExceeded or DependencyUnavailable where there is none."""
        left = time_left()
        hurried = left is not None and left < self._pool_timeout
        try:
            return await self.pool.take(left if hurried else self._pool_timeout)
        except (psycopg2.Error, OSError) as error:
            if hurried and isinstance(error, TimeoutError):
                raise self._count(
                    operation, error, QueryError.TIMEOUT, DeadlineExceeded()
                ) from None
            away = DependencyUnavailable("database")
            raise self._count(operation, error, QueryError.UNAVAILABLE, away) from None

    async def send(
        self,
        connection: Connection,
        query: Query,
        message: str,
        params: dict[str, Any] | None,
        fetch: Callable[[Any], T],
    ) -> T:
        """Send ``message``, which holds the query, and read its answer with ``fetch``."""
        left = time_left()
        # The span is outside, so that it records our exception: psycopg2's quotes values of rows.
        with span(query.name, CLIENT, _SPAN):
            started = perf_counter()
            try:
                cursor = await connection.run(
                    message, params, None if left is None else left + _GRACE_SECONDS
                )
                answer = fetch(cursor)
                if connection.raw.notices:
                    self._check_notices(connection, query.name)
            except psycopg2.errors.InvalidSqlStatementName:
                raise NotPrepared from None
            except (psycopg2.Error, TimeoutError) as error:
                lost = bool(connection.closed)
                if leads_astray(error):
                    connection.close()
                raise self._count(query.name, error, *translated(error, query.name, lost)) from None
            finally:
                self._duration(query.name).observe(perf_counter() - started)
        return answer

    def _duration(self, operation: str) -> Histogram:
        found = self._durations.get(operation)
        if found is None:
            found = self._durations[operation] = self._metrics.query_duration.labels(operation)
        return found

    def _check_notices(self, connection: Connection, operation: str) -> None:
        # A COMMIT that waits for a standby and is cancelled by an operator is answered with success
        # and a warning: the change is visible here, and may be lost with this server.
        notices = "".join(connection.raw.notices)
        del connection.raw.notices[:]
        if _NOT_REPLICATED in notices:
            error = psycopg2.OperationalError("committed, but perhaps not replicated")
            away = DependencyUnavailable("database")
            raise self._count(operation, error, QueryError.UNAVAILABLE, away)

    def _count(
        self, operation: str, error: Exception, kind: QueryError, meaning: Exception
    ) -> Exception:
        self._metrics.query_errors.labels(operation, kind).inc()
        log_failure(operation, kind, error)
        return meaning


def time_left() -> float | None:
    """Seconds that the request may still take, more than 0; None where nobody set a deadline."""
    left = remaining()
    if left is not None and left <= 0:
        raise DeadlineExceeded
    return left


def timeout_ms(left: float) -> int:
    """Whole milliseconds, rounded down to two digits.

    The server counts statements by their text (pg_stat_statements), and before PostgreSQL 16 each
    other number made another entry: thousands, where this makes some two hundred.
    """
    milliseconds = int(left * 1000)
    if milliseconds < 100:
        return max(1, milliseconds)
    step = 10 if milliseconds < 1_000 else 100 if milliseconds < 10_000 else 1_000
    return milliseconds // step * step


def limit(milliseconds: int) -> str:
    """The SQL that goes before a statement, within the same message, to bound it."""
    return (
        f"SET LOCAL statement_timeout = {milliseconds}; "
        f"SET LOCAL client_connection_check_interval = {_CLIENT_CHECK_MS}; "
    )
