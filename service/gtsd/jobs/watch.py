"""What every worker does beside its jobs: take over from dead workers, and measure the queue."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from loguru import logger

from gtsd.deadline import within
from gtsd.errors import Unavailable
from gtsd.jobs import queries as q
from gtsd.jobs.types import RETRIES
from gtsd.stores.postgres import ConstraintViolated, QueryFailed
from gtsd.telemetry.metrics import JobOutcome, JobState

if TYPE_CHECKING:
    from gtsd.deps import Deps

_LOOK_S: Final = 10.0


async def watch_queue(deps: Deps) -> None:
    """Until cancelled; a database that is away is asked again the next time."""
    silence = deps.settings.worker_silence
    while True:
        try:
            with within(_LOOK_S):
                await rescue(deps, silence)
                await measure(deps)
        except (Unavailable, QueryFailed):
            # Away, or not migrated yet; the store has said what it was.
            logger.debug("the queue could not be looked at")
        await asyncio.sleep(silence / 3)


async def rescue(deps: Deps, silence: float) -> None:
    """Give back the jobs of workers that were not heard of for so many seconds.

    That a worker died counts as a try: a job that kills whoever runs it must end as well. Any
    number of workers may do this at once.
    """
    for (job_id,) in await deps.postgres.rows(q.STALLED, silence=silence):
        try:
            row = await deps.postgres.row(q.RESCUE, id=job_id, silence=silence, retries=RETRIES)
        except ConstraintViolated:
            # Another one with the same key waits, and is the next try.
            await deps.postgres.execute(q.DROP_STALLED, id=job_id, silence=silence)
            continue
        if row is not None:
            name, dead = row
            outcome = JobOutcome.DEAD if dead else JobOutcome.RETRY
            deps.metrics.jobs.labels(name, outcome).inc()
            logger.bind(job=name, job_id=job_id).warning(
                "the worker of a job died{}", ", and the job with it" if dead else ""
            )


async def measure(deps: Deps) -> None:
    """Set the metrics of the queue, which are the same from every worker."""
    found: dict[str, int] = dict(await deps.postgres.rows(q.QUEUED))
    for state in JobState:
        deps.metrics.jobs_queued[state].set(found.get(state, 0))
    deps.metrics.jobs_oldest.set(await deps.postgres.value(q.OLDEST))
