"""``gtsd worker`` in processes of its own: each job is done, and has its effect once."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.migrate.runner import up
from tests.conftest import FAST_POSTGRES, MIGRATIONS
from tests.support.process import Served

# A worker that was not heard of for a second is taken for dead.
IMPATIENT = {"GTSD_WORKER_SILENCE": "1"}
PATIENT = {"GTSD_WORKER_SILENCE": "3600"}
MANY = 300


def _three(jobs: Any, stack: ExitStack, **variables: str) -> list[Served]:
    workers = [stack.enter_context(jobs.worker(**variables)) for _ in range(3)]
    for worker in workers:
        worker.wait_ready()
    return workers


def test_three_workers_do_each_job_once(jobs: Any) -> None:
    """However many look for work at the same moment."""
    jobs.add("write", "m", count=MANY)
    with ExitStack() as stack:
        first, *others = _three(jobs, stack)
        first.wait_until(lambda: jobs.ask("SELECT count(*) FROM effects") == MANY, 40)
        first.wait_until(lambda: jobs.state("write") is None)
        for worker in others:
            worker.signal()
            assert worker.ended() == 0
    assert jobs.ask("SELECT count(*) FROM runs WHERE mark <> 'tick'") == MANY
    assert jobs.ask("SELECT count(DISTINCT mark) FROM runs WHERE mark <> 'tick'") == MANY


def _ticks_a_second(jobs: Any, seconds: int) -> float:
    with ExitStack() as stack:
        first, *_ = _three(jobs, stack)
        jobs.ask("DELETE FROM runs")
        began = time.monotonic()
        first.wait_until(lambda: time.monotonic() - began > seconds)
        return float(jobs.runs("tick") / (time.monotonic() - began))


def test_three_workers_run_a_periodic_job_once_each_time(jobs: Any) -> None:
    """Neither once for each of them, nor never (fault 16): they agree by a row, not by a leader."""
    assert 0.5 < _ticks_a_second(jobs, 5) < 1.5


def test_without_that_row_each_worker_would_run_it(jobs: Any) -> None:
    """The control: the constraint that lets one of them win is what does it."""
    jobs.ask(
        "ALTER TABLE procrastinate_periodic_defers"
        " DROP CONSTRAINT procrastinate_periodic_defers_unique;"
        "DROP INDEX procrastinate_jobs_queueing_lock_idx_v1;"
        "CREATE UNIQUE INDEX ON procrastinate_jobs (id, queueing_lock) WHERE status = 'todo'"
    )
    assert _ticks_a_second(jobs, 5) > 1.8


def test_a_job_of_a_killed_worker_is_done_once_more_with_one_effect(jobs: Any) -> None:
    """The next worker finds it by the heartbeat that is missing."""
    jobs.add("wait", "w")
    with jobs.worker(**IMPATIENT) as killed:
        killed.wait_ready()
        killed.wait_until(lambda: jobs.effects("w"))
        killed.process.kill()
        killed.ended()
    assert jobs.state("wait") == ("doing", 0)
    with jobs.worker(**IMPATIENT) as next_:
        next_.wait_until(lambda: jobs.runs("w") == 2)
        jobs.open_gate("w")
        next_.wait_until(lambda: jobs.state("wait") is None)
        assert next_.said("the worker of a job died")
    assert (jobs.runs("w"), jobs.effects("w")) == (2, 1)


def test_a_job_of_a_worker_that_may_live_is_left_to_it(jobs: Any) -> None:
    """The control: without the heartbeat's verdict nobody would take it over."""
    jobs.add("wait", "w")
    with jobs.worker(**PATIENT) as killed:
        killed.wait_ready()
        killed.wait_until(lambda: jobs.effects("w"))
        killed.process.kill()
        killed.ended()
    with jobs.worker(**PATIENT) as next_:
        jobs.add("write", "later")
        next_.wait_until(lambda: jobs.effects("later"))
    assert jobs.runs("w") == 1
    assert jobs.state("wait") == ("doing", 0)


def test_a_worker_that_was_given_up_begins_anew(jobs: Any) -> None:
    """As after a night of a suspended machine: others have taken it for dead meanwhile."""
    with jobs.worker() as worker:
        worker.wait_ready()
        worker.wait_until(lambda: jobs.runs("tick"))
        jobs.ask("DELETE FROM procrastinate_workers")
        jobs.add("write", "w")
        worker.wait_until(lambda: jobs.effects("w"))


def test_a_job_that_kills_its_workers_ends_as_dead(jobs: Any) -> None:
    """Its last try was used up by the fourth of them."""
    jobs.add("wait", "w")
    jobs.ask("UPDATE procrastinate_jobs SET status = 'doing', attempts = 3")
    with jobs.worker(**IMPATIENT) as worker:
        worker.wait_until(lambda: jobs.state("wait") == ("failed", 4))
    assert jobs.runs("w") == 0


def test_a_stop_lets_the_job_in_work_finish(jobs: Any) -> None:
    """Nothing new is begun meanwhile, and the exit status is 0."""
    jobs.add("wait", "w")
    with jobs.worker() as worker:
        worker.wait_ready()
        worker.wait_until(lambda: jobs.effects("w"))
        worker.signal()
        worker.wait_for_line("finishing the jobs in work")
        assert worker.get("/ready").status == 503
        jobs.add("write", "later")
        jobs.open_gate("w")
        assert worker.ended() == 0
    assert jobs.state("wait") is None
    assert jobs.runs("w") == 1
    assert jobs.state("write") == ("todo", 0)


def test_a_stop_leaves_a_job_that_takes_too_long_to_others(jobs: Any) -> None:
    """At once, not when the heartbeat is missed; and that is no failure of the job."""
    jobs.add("wait", "w")
    with jobs.worker(GTSD_WORKER_STOP_TIMEOUT="0.2", **PATIENT) as worker:
        worker.wait_until(lambda: jobs.effects("w"))
        worker.signal()
        assert worker.ended() == 0
        assert worker.said("a job was released by a worker that stops")
    assert jobs.state("wait") == ("todo", 1)
    jobs.open_gate("w")
    with jobs.worker(**PATIENT) as next_:
        next_.wait_until(lambda: jobs.state("wait") is None)
    assert (jobs.runs("w"), jobs.effects("w")) == (2, 1)


def test_a_worker_outlives_a_database_that_goes_and_comes(
    server_folder: Path, prepare: Callable[[str], Any]
) -> None:
    """Red meanwhile; then it goes on by itself, with the job that was in work."""
    with EmbeddedPostgres(server_folder / "postgres", options=FAST_POSTGRES) as server:
        url = server.create_database("jobs")
        up(url, MIGRATIONS)
        jobs = prepare(url)
        jobs.add("wait", "w")
        with jobs.worker() as worker:
            worker.wait_ready()
            worker.wait_until(lambda: jobs.effects("w"))
            server.stop()
            worker.wait_until(lambda: worker.get("/health").status == 503)
            server.start()
            worker.wait_until(lambda: worker.get("/health").status == 200)
            jobs.add("write", "later")
            worker.wait_until(lambda: jobs.effects("later"))
            worker.signal()
            assert worker.ended(40) == 0


def test_a_worker_starts_before_the_migrations(
    database_url: str, prepare: Callable[[str], Any]
) -> None:
    """As on a new host, where migrations come later."""
    jobs = prepare(database_url)
    with jobs.worker() as worker:
        worker.wait_until(lambda: "SQLSTATE 42883" in worker.written)
        up(database_url, MIGRATIONS)
        jobs.add("write", "w")
        worker.wait_until(lambda: jobs.effects("w"))


def test_a_dead_job_is_visible_in_metrics(jobs: Any) -> None:
    """After the first try and three more, 1, 2 and 4 minutes apart; then nobody runs it."""
    jobs.add("fail", "f")
    with jobs.worker(**IMPATIENT) as worker:
        worker.wait_ready()
        for tried, wait in ((1, 60), (2, 120), (3, 240)):
            worker.wait_until(lambda tried=tried: jobs.state("fail") == ("todo", tried))
            left = jobs.ask(
                "SELECT extract(epoch FROM scheduled_at - now()) FROM procrastinate_jobs"
                " WHERE task_name = 'fail'"
            )
            assert wait - 10 < left <= wait
            jobs.ask("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE task_name = 'fail'")
        worker.wait_until(lambda: jobs.state("fail") == ("failed", 4))

        def shown(line: str) -> bool:
            return line in worker.get("/metrics").body.decode()

        worker.wait_until(lambda: shown('gtsd_jobs_queued{state="dead"} 1.0'))
        assert shown('gtsd_jobs_total{job="fail",outcome="retry"} 3.0')
        assert shown('gtsd_jobs_total{job="fail",outcome="dead"} 1.0')
    assert jobs.runs("f") == 4
