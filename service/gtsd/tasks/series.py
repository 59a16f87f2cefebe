"""Repeated tasks. Their tasks are made ahead, on writes, so that reading a day writes nothing."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from gtsd.streaks import operations as streaks
from gtsd.tasks import queries as q

if TYPE_CHECKING:
    from gtsd.stores.postgres import Session, Transaction
    from gtsd.tasks.types import Repeat

# Every sign-in and refresh of a token makes ahead what is missing. An access token lives for 15
# minutes, so whoever can read a day has been here within the last 15 minutes of it.
_ENOUGH_DAYS: Final = 14
_AHEAD_DAYS: Final = 28


async def start(
    tx: Transaction, user_id: int, task_id: int, repeat: Repeat, today: date, now: datetime
) -> None:
    """Repeat a task from its own day on."""
    await tx.execute(q.ADD_SERIES, user_id=user_id, id=task_id, repeat=repeat)
    await extend(tx, user_id, today, now)


async def extend(session: Session, user_id: int, today: date, now: datetime) -> None:
    """Make the tasks of the next weeks. The caller counts days that were counted before again."""
    await session.execute(
        q.EXTEND_SERIES,
        user_id=user_id,
        today=today,
        enough=_enough(today),
        until=today + timedelta(days=_AHEAD_DAYS),
        now=now,
    )


async def catch_up(tx: Transaction, user_id: int, today: date, now: datetime) -> bool:
    """As ``extend``, for whoever has just come; gives whether any task was missing."""
    if not await tx.value(q.LACKING_SERIES, user_id=user_id, enough=_enough(today)):
        return False
    await streaks.lock(tx, user_id, today)
    await extend(tx, user_id, today, now)
    await streaks.count_from(tx, user_id, today, today)
    return True


def _enough(today: date) -> date:
    return today + timedelta(days=_ENOUGH_DAYS)


async def end(tx: Transaction, user_id: int, series_id: int, day: date) -> None:
    """End a series after a day."""
    await tx.execute(q.END_SERIES, user_id=user_id, series_id=series_id, day=day)


def first_day(day: date, repeat: Repeat | None) -> date:
    """The first day on or after the given one on which the repeated task is due."""
    if repeat == "weekdays":
        while day.isoweekday() > 5:
            day += timedelta(days=1)
    return day
