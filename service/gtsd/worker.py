"""``gtsd worker``: does background jobs until it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import msgspec
from loguru import logger
from procrastinate.exceptions import ConnectorException
from procrastinate.worker import Worker

from gtsd.app import make_probes
from gtsd.errors import Unavailable
from gtsd.jobs.catalogue import CATALOGUE
from gtsd.jobs.runs import make_app
from gtsd.jobs.watch import watch_queue
from gtsd.lifecycle import Process, answering, notify, run
from gtsd.stores.postgres import QueryFailed
from gtsd.systemd import Supervisor

if TYPE_CHECKING:
    from gtsd.jobs.types import Job
    from gtsd.settings import Settings

_LOOPBACK: Final = "127.0.0.1"
_AGAIN_S: Final = 1.0
# Nothing of ours asks to abort a running job, so this need not be looked for.
_NEVER_S: Final = 86_400.0


async def work(
    settings: Settings, supervisor: Supervisor | None = None, jobs: Iterable[Job] = CATALOGUE
) -> int:
    """Do jobs until SIGTERM or SIGINT; gives the exit status. No server has to be up."""

    async def do(process: Process) -> None:
        await _work_until_told(process, jobs)

    return await run(_of_a_worker(settings), supervisor or Supervisor(), do)


def _of_a_worker(settings: Settings) -> Settings:
    named = settings.otel_service_name
    return msgspec.structs.replace(
        settings,
        host=_LOOPBACK,
        port=settings.worker_port,
        database_pool_size=settings.worker_pool_size,
        otel_service_name="gtsd-worker" if named == "gtsd-api" else named,
    )


async def _work_until_told(process: Process, jobs: Iterable[Job]) -> None:
    deps = process.deps
    probes = make_probes(deps)
    worker = _make_worker(process, jobs)
    with answering(process, probes):
        watching = asyncio.create_task(watch_queue(deps))
        working = asyncio.create_task(_work_again_and_again(process, worker))
        stopping = asyncio.create_task(process.stop.wait())
        # None of them ends by itself: whoever does has a fault, which ends the process.
        await asyncio.wait([watching, working, stopping], return_when=asyncio.FIRST_COMPLETED)
        deps.life.draining = True
        deps.metrics.draining.set(1)
        notify(process.supervisor, "STOPPING=1")
        logger.info("finishing the jobs in work")
        process.stop.set()
        worker.stop()  # type: ignore[no-untyped-call]  # procrastinate's has no annotations
        await working
        if watching.done():
            await watching
        watching.cancel()
        stopping.cancel()
        probes.stop_accepting()
        await probes.finish(0.0, 0.0)


def _make_worker(process: Process, jobs: Iterable[Job]) -> Worker:
    settings = process.deps.settings
    return Worker(
        make_app(process.deps, jobs),
        concurrency=settings.worker_concurrency,
        fetch_job_polling_interval=settings.worker_poll_interval,
        abort_job_polling_interval=_NEVER_S,
        shutdown_graceful_timeout=settings.worker_stop_timeout,
        listen_notify=False,
        # What was done is in the log and in the metrics.
        delete_jobs="successful",
        install_signal_handlers=False,
        update_heartbeat_interval=settings.worker_silence / 3,
        stalled_worker_timeout=settings.worker_silence,
    )


async def _work_again_and_again(process: Process, worker: Worker) -> None:
    """A worker that cannot register, or that others have given up as dead, begins anew."""
    while not process.stop.is_set():
        why = "a task beside the jobs ended"
        try:
            await worker.run()  # type: ignore[no-untyped-call]  # as above
        except (ConnectorException, QueryFailed, Unavailable) as error:
            why = str(error) or type(error).__name__
        if not process.stop.is_set():
            logger.warning("the worker begins anew: {}", why)
            await asyncio.sleep(_AGAIN_S)
