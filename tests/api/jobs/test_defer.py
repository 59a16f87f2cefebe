"""Work for later is added by the transaction that needs it, or not at all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gtsd.deps import Deps
from gtsd.jobs.connector import Manager
from gtsd.jobs.queue import JobQueue
from gtsd.jobs.runs import make_app
from gtsd.jobs.types import Job, Queue
from gtsd.stores.postgres import Query
from gtsd.telemetry import tracing
from tests.api.conftest import Start

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ALL = Query(
    "all", "SELECT id, queueing_lock, args, status::text FROM procrastinate_jobs ORDER BY id"
)


async def _greet(deps: Deps, *, name: str) -> None:
    del deps, name


JOBS = (Job("greet", _greet, Queue.MAIL, priority=3),)


@pytest.fixture
async def deps(migrated_database_url: str, start: Start) -> Deps:
    """With a queue of its own."""
    return (await start(database_url=migrated_database_url)).deps


@pytest.fixture
def queue() -> JobQueue:
    """Knows one job."""
    return JobQueue(JOBS)


async def _add(deps: Deps, queue: JobQueue, **options: Any) -> None:
    async with deps.postgres.transaction() as tx:
        await queue.defer(tx, "greet", {"name": "Ada"}, **options)


async def test_a_job_comes_with_the_commit(deps: Deps, queue: JobQueue) -> None:
    """With its arguments, and as important as the catalogue says."""
    async with deps.postgres.transaction() as tx:
        await queue.defer(tx, "greet", {"name": "Ada"})
        assert await deps.postgres.rows(ALL) == []
    ((_, key, args, status),) = await deps.postgres.rows(ALL)
    assert (key, args, status) == (None, {"arguments": {"name": "Ada"}, "trace": {}}, "todo")


async def test_a_rollback_leaves_no_job(deps: Deps, queue: JobQueue) -> None:
    """What did not happen needs no mail."""
    with pytest.raises(ZeroDivisionError):
        async with deps.postgres.transaction() as tx:
            await queue.defer(tx, "greet", {"name": "Ada"})
            _ = 1 / 0
    assert await deps.postgres.rows(ALL) == []


async def test_a_name_without_a_job_is_refused(deps: Deps, queue: JobQueue) -> None:
    """At once, not when a worker looks for it."""
    with pytest.raises(KeyError):
        async with deps.postgres.transaction() as tx:
            await queue.defer(tx, "gret", {})


async def test_a_key_waits_once(deps: Deps, queue: JobQueue) -> None:
    """The second one leaves its transaction whole, and is added again once the first one runs."""
    await _add(deps, queue, key="ada")
    async with deps.postgres.transaction() as tx:
        await queue.defer(tx, "greet", {"name": "Ada"}, key="ada")
        assert await tx.value(Query("one", "SELECT 1")) == 1
    assert len(await deps.postgres.rows(ALL)) == 1
    await deps.postgres.execute(Query("run", "UPDATE procrastinate_jobs SET status = 'doing'"))
    await _add(deps, queue, key="ada")
    assert len(await deps.postgres.rows(ALL)) == 2


async def test_of_a_key_added_at_once_one_waits(deps: Deps, queue: JobQueue) -> None:
    """Nobody fails, whoever is first."""
    await asyncio.gather(*(_add(deps, queue, key="ada") for _ in range(8)))
    assert len(await deps.postgres.rows(ALL)) == 1


async def test_the_trace_of_the_request_reaches_the_job(deps: Deps, queue: JobQueue) -> None:
    """Its log lines can be found by the id of the request's."""
    with tracing.server_span({"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}, "POST"):
        await _add(deps, queue)
    ((_, _, args, _),) = await deps.postgres.rows(ALL)
    assert TRACE in args["trace"]["traceparent"]
    with tracing.root_span("job greet", headers=args["trace"]):
        ids = tracing.current_ids()
    assert ids is not None
    assert ids.trace_id == TRACE


async def _fetched(deps: Deps) -> tuple[Manager, Any]:
    manager = make_app(deps, JOBS).job_manager
    assert isinstance(manager, Manager)
    worker = await manager.register_worker()
    return manager, await manager.fetch_job(None, worker)


async def test_a_retry_makes_way_for_one_of_its_key_that_waits(deps: Deps, queue: JobQueue) -> None:
    """The schema allows one of them; it is the next try, and the failed one is gone."""
    await _add(deps, queue, key="ada")
    manager, job = await _fetched(deps)
    await _add(deps, queue, key="ada")
    await manager.retry_job(job)
    rows = await deps.postgres.rows(ALL)
    assert [(row[3], row[0] != job.id) for row in rows] == [("todo", True)]


async def test_what_a_worker_was_given_in_a_lost_answer_is_given_back(
    deps: Deps, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection broke after the server had marked it as in work, by this worker."""
    await _add(deps, queue)
    _, job = await _fetched(deps)
    lost = make_app(deps, JOBS).job_manager
    assert isinstance(lost, Manager)
    assert await lost.fetch_job(None, job.worker_id) is None
    monkeypatch.setattr(lost, "_in_doubt", True)
    again = await lost.fetch_job(None, job.worker_id)
    assert again is not None
    assert again.id == job.id
