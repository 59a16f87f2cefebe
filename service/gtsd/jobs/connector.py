"""procrastinate's statements over our own pool, and what it does while PostgreSQL is away.

Its ``contrib.aiopg`` connector would open a second pool of unmended aiopg, without deadlines,
metrics and TLS checks of ours. Statements go through a pooler in transaction mode, so nothing here
may LISTEN: workers poll.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from loguru import logger
from procrastinate import exceptions, sql
from procrastinate.connector import BaseAsyncConnector
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from psycopg2.extras import Json

from gtsd.deadline import within
from gtsd.errors import Unavailable
from gtsd.jobs import queries as q
from gtsd.stores.postgres import ConstraintViolated, Query, QueryFailed

if TYPE_CHECKING:
    from gtsd.stores.postgres import Postgres

T = TypeVar("T")

_STATEMENT_S: Final = 10.0
_PAUSE_S: Final = 1.0
_QUERIES: Final = {text: Query(f"queue_{name}", text) for name, text in sql.queries.items()}


class Away(exceptions.ConnectorException):
    """PostgreSQL did not answer: what was asked may have been done or not."""


class StoreConnector(BaseAsyncConnector):
    """Runs procrastinate's statements on the service's store."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def execute_query_async(self, query: str, **arguments: Any) -> None:
        """For the effect alone."""
        await self._run(self._postgres.execute, query, arguments)

    async def execute_query_one_async(self, query: str, **arguments: Any) -> dict[str, Any]:
        """The first row; raises NoResult."""
        rows = await self.execute_query_all_async(query, **arguments)
        if not rows:
            raise exceptions.NoResult
        return rows[0]

    async def execute_query_all_async(self, query: str, **arguments: Any) -> list[dict[str, Any]]:
        """Every row."""
        return await self._run(self._postgres.records, query, arguments)

    async def _run(
        self, run: Callable[..., Awaitable[T]], query: str, arguments: dict[str, Any]
    ) -> T:
        params = {
            name: Json(value) if isinstance(value, dict) else value
            for name, value in arguments.items()
        }
        try:
            with within(_STATEMENT_S):
                return await run(_QUERIES[query], **params)
        except ConstraintViolated as error:
            # The key itself is not told, and only quoted in a message that we do not show.
            raise exceptions.UniqueViolation(
                constraint_name=error.constraint, queueing_lock=None
            ) from None
        except Unavailable as error:
            raise Away from error
        except QueryFailed as error:
            raise exceptions.ConnectorException(str(error)) from error


class Manager(JobManager):
    """Outlives PostgreSQL: procrastinate's own ends the worker when a statement fails.

    ``patience`` is how long the end of a job is kept for a database that is away, in seconds.
    """

    def __init__(self, postgres: Postgres, patience: float) -> None:
        super().__init__(StoreConnector(postgres))
        self._postgres = postgres
        self._patience = patience
        self._at_hand: set[int] = set()
        self._in_doubt = False

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """None also while the database is away."""
        try:
            if self._in_doubt:
                await self._reclaim(worker_id)
            job = await super().fetch_job(queues, worker_id)
        except (Away, Unavailable):
            self._in_doubt = True
            return None
        if job is not None and job.id is not None:
            self._at_hand.add(job.id)
        return job

    async def update_heartbeat(self, worker_id: int) -> None:
        """The next one comes soon."""
        try:
            await super().update_heartbeat(worker_id)
        except Away:
            logger.debug("a heartbeat of the worker was lost")

    async def defer_periodic_job(
        self, job: Job, periodic_id: str, defer_timestamp: int
    ) -> int | None:
        """Until it is known to be there: a second try finds the first one's."""
        while True:
            try:
                return await super().defer_periodic_job(job, periodic_id, defer_timestamp)
            except Away:
                await asyncio.sleep(_PAUSE_S)

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """Tried for a while; a job whose end cannot be written is run again."""
        finish = super().finish_job
        await self._end(job, lambda: finish(job, status, delete_job))

    async def retry_job(self, job: Job, *args: Any, **kwargs: Any) -> None:
        """Where another one with the same key waits, that one is the next try."""
        retry, finish = super().retry_job, super().finish_job
        try:
            await self._end(job, lambda: retry(job, *args, **kwargs))
        except exceptions.UniqueViolation:
            await self._end(job, lambda: finish(job, Status.ABORTED, delete_job=True))

    async def _end(self, job: Job, write: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._patience
        try:
            while True:
                try:
                    return await write()
                except Away:
                    if loop.time() > ends:
                        raise
                    await asyncio.sleep(_PAUSE_S)
        except exceptions.UniqueViolation:
            raise
        except exceptions.ConnectorException as error:
            self._in_doubt = True
            logger.bind(job=job.task_name, job_id=job.id, kind=type(error).__name__).warning(
                "how a job ended could not be written, so it may run again"
            )
        finally:
            assert job.id is not None
            self._at_hand.discard(job.id)

    async def _reclaim(self, worker_id: int) -> None:
        with within(_STATEMENT_S):
            await self._postgres.execute(
                q.RECLAIM, worker_id=worker_id, running=list(self._at_hand)
            )
        self._in_doubt = False
