"""The rule of retries, and what the catalogue must not have."""

from __future__ import annotations

from datetime import UTC, datetime

from croniter import croniter  # type: ignore[import-untyped]  # it has no types

from gtsd.jobs.catalogue import CATALOGUE
from gtsd.jobs.types import Job, Queue, next_try

NOW = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)


def test_a_failed_job_is_tried_three_times_more_ever_later() -> None:
    """After one, two and four minutes; the fourth failure is the last."""
    waits = [next_try(attempts, NOW) for attempts in range(3)]
    assert [(due - NOW).total_seconds() for due in waits if due] == [60, 120, 240]
    assert next_try(3, NOW) is None


def faults(catalogue: tuple[Job, ...]) -> list[str]:
    """Names that come twice, schedules that cron does not know."""
    names = [job.name for job in catalogue]
    found = sorted({name for name in names if names.count(name) > 1})
    return found + [j.name for j in catalogue if j.schedule and not croniter.is_valid(j.schedule)]


async def _nothing(deps: object) -> None: ...


def test_the_catalogue_can_be_run() -> None:
    """A job of a name that is there already would never run."""
    assert CATALOGUE
    assert faults(CATALOGUE) == []


def test_faults_of_a_catalogue_are_found() -> None:
    """The control."""
    one = Job("one", _nothing, Queue.UPKEEP)
    assert faults((one, one, Job("two", _nothing, Queue.UPKEEP, "61 * * * *"))) == ["one", "two"]
