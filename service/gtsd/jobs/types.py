"""What a background job is, and the rule by which a failed one is tried again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

# After 1, 2 and 4 minutes; who fails then is dead until an operator says otherwise.
RETRIES: Final = 3
_FIRST_WAIT: Final = timedelta(seconds=60)


class Queue(StrEnum):
    """Kinds of work, for people who look at what waits."""

    MAIL = "mail"
    NIGHTLY = "nightly"
    PHOTOS = "photos"
    UPKEEP = "upkeep"


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the catalogue.

    ``run`` takes ``deps`` and the arguments that were deferred, by name. It raises when it fails,
    and may be run again after any end: twice, with the effect of once.
    """

    name: str
    run: Callable[..., Awaitable[None]]
    queue: Queue
    schedule: str | None = None
    """As cron has it, in UTC. Such a job has no arguments, and there is one at a time."""
    priority: int = 0
    """What is greater goes first."""
    timeout: float = 300.0
    """Longest time of one run, in seconds; it reaches the database."""


def next_try(attempts: int, now: datetime) -> datetime | None:
    """When a job that failed after so many earlier tries is due again; None: it is dead."""
    return now + _FIRST_WAIT * 2**attempts if attempts < RETRIES else None
