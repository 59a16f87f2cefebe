"""Whom a plan is made for: what is known of people, for one or for many at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from gtsd.plans import queries as q
from gtsd.plans.formulas import Body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gtsd.stores.postgres import Session


@dataclass(frozen=True, slots=True)
class Here:
    """Somebody, and the moment: everywhere and where they are."""

    user_id: int
    now: datetime
    today: date
    # Of the clock on their wall.
    time: time

    @classmethod
    def of(cls, user_id: int, timezone: str, now: datetime) -> Here:
        """Raises ZoneInfoNotFoundError."""
        local = now.astimezone(ZoneInfo(timezone))
        return cls(user_id, now.astimezone(UTC), local.date(), local.time().replace(microsecond=0))


@dataclass(frozen=True, slots=True)
class Person:
    """What a plan is made from."""

    user_id: int
    body: Body
    meals_per_day: int


async def find(session: Session, user_ids: Sequence[int]) -> dict[int, Person]:
    """Those who have told of themselves, by id."""
    rows = await session.rows(q.PEOPLE, user_ids=list(user_ids))
    return {row[0]: Person(row[0], Body(*row[2:]), row[1]) for row in rows}


async def find_one(session: Session, user_id: int) -> Person | None:
    """None for somebody who has not been through onboarding."""
    return (await find(session, [user_id])).get(user_id)
