"""Use cases of badges, and the one way in which what a person does earns them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

from gtsd.badges import queries as q
from gtsd.badges.catalogue import Metric, as_json

if TYPE_CHECKING:
    from gtsd.stores.postgres import Session, Transaction

_ALL: Final = as_json()


class Deed:
    """What a person did, as the part of the catalogue that it can earn."""

    EVIDENCE: Final = as_json({Metric.EVIDENCE, Metric.TASKS, Metric.STREAK, Metric.PERFECT_DAYS})
    COMPLETED: Final = as_json({Metric.TASKS, Metric.STREAK, Metric.PERFECT_DAYS})
    # A day counts, or counts in full, because a task of it was skipped, moved or deleted.
    DAY_CHANGED: Final = as_json({Metric.STREAK, Metric.PERFECT_DAYS})
    PHOTO: Final = as_json({Metric.PHOTOS})
    ONBOARDED: Final = as_json({Metric.ONBOARDED})


async def award(tx: Transaction, user_id: int, today: date, now: datetime, deed: str) -> int:
    """Give the badges that a deed has earned, in its transaction; gives how many these are.

    One statement. Call it after everything that it counts was written. Of parallel deeds the
    primary key lets one give a badge.
    """
    return await tx.execute(q.AWARD, user_id=user_id, today=today, now=now, catalogue=deed)


async def award_many(session: Session, people: Mapping[int, date], now: datetime) -> int:
    """Give many people all that they deserve; gives how many badges these are.

    ``people`` has for each user's id the last day that counts for the streak.
    """
    return await session.execute(
        q.AWARD_MANY,
        user_ids=list(people),
        days=list(people.values()),
        now=now,
        catalogue=_ALL,
    )


async def mine(session: Session, user_id: int) -> bytes:
    """The badges that a person has."""
    text: str = await session.value(q.MINE, user_id=user_id, catalogue=_ALL)
    return text.encode()


async def available(session: Session, user_id: int, today: date) -> bytes:
    """The catalogue with a person's progress."""
    text: str = await session.value(q.AVAILABLE, user_id=user_id, today=today, catalogue=_ALL)
    return text.encode()
