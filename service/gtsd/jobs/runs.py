"""One run of a job: its deadline, span, metric and log line, and what follows from its end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from loguru import logger
from procrastinate import App, BaseRetryStrategy, JobContext, RetryDecision
from procrastinate.utils import utcnow

from gtsd.deadline import within
from gtsd.jobs.connector import Manager
from gtsd.jobs.types import Job, next_try
from gtsd.telemetry import tracing
from gtsd.telemetry.metrics import JobOutcome

if TYPE_CHECKING:
    from procrastinate.jobs import Job as Queued

    from gtsd.deps import Deps

# A periodic job that nobody added in time, as no worker ran, is added this much later at most.
_LATEST_S: Final = 3600.0
# What a store says about the time being up tells more than our own end of it.
_GRACE_S: Final = 1.0


def make_app(deps: Deps, jobs: Iterable[Job]) -> App:
    """procrastinate with a catalogue; nothing runs yet."""
    manager = Manager(deps.postgres, patience=deps.settings.worker_stop_timeout)
    app = App(connector=manager.connector, periodic_defaults={"max_delay": _LATEST_S})
    app.job_manager = manager
    for job in jobs:
        # One of a periodic job waits, and one runs, at most.
        alone = None if job.schedule is None else job.name
        task = app.task(
            name=job.name,
            queue=job.queue.value,
            priority=job.priority,
            lock=alone,
            queueing_lock=alone,
            retry=_Retries(),
            pass_context=True,
        )(Runner(deps, job).run)
        if job.schedule is not None:
            # It gives the time by name, though its type asks for a first place.
            app.periodic_registry.register_task(task, job.schedule, "", {})  # type: ignore[arg-type]
    return app


class _Retries(BaseRetryStrategy):
    def get_retry_decision(self, *, exception: BaseException, job: Queued) -> RetryDecision | None:
        if isinstance(exception, asyncio.CancelledError):
            # The worker stops; that is no fault of the job's, which begins anew elsewhere.
            return RetryDecision(retry_at=utcnow())
        due = next_try(job.attempts, utcnow())
        return None if due is None else RetryDecision(retry_at=due)


class Runner:
    """Runs one kind of job."""

    def __init__(self, deps: Deps, job: Job) -> None:
        self._deps = deps
        self._job = job

    async def run(
        self,
        context: JobContext,
        *,
        arguments: dict[str, Any] | None = None,
        trace: dict[str, str] | None = None,
        timestamp: int | None = None,
    ) -> None:
        """What procrastinate calls; raises what the job raises."""
        del timestamp  # when a periodic job was due, which is not what matters to any of ours
        began = perf_counter()
        attempts = context.job.attempts
        told = logger.bind(job=self._job.name, job_id=context.job.id, attempt=attempts + 1)
        try:
            with tracing.root_span(f"job {self._job.name}", headers=trace):
                await self._bounded(arguments or {})
        except asyncio.CancelledError:
            self._count(JobOutcome.RELEASED, began)
            told.info("a job was released by a worker that stops")
            raise
        except Exception as error:
            dead = next_try(attempts, utcnow()) is None
            self._count(JobOutcome.DEAD if dead else JobOutcome.RETRY, began)
            level = "ERROR" if dead else "WARNING"
            told.opt(exception=error).log(level, "a job failed{}", " for good" if dead else "")
            raise
        self._count(JobOutcome.DONE, began)
        told.bind(seconds=round(perf_counter() - began, 3)).info("a job is done")

    async def _bounded(self, arguments: dict[str, Any]) -> None:
        timeout = self._job.timeout
        # The deadline reaches the stores; the timeout ends what hangs elsewhere.
        with within(timeout):
            async with asyncio.timeout(timeout + _GRACE_S):
                await self._job.run(self._deps, **arguments)

    def _count(self, outcome: JobOutcome, began: float) -> None:
        metrics = self._deps.metrics
        metrics.jobs.labels(self._job.name, outcome).inc()
        metrics.job_duration.labels(self._job.name).observe(perf_counter() - began)
