"""Use cases of streaks, and the one way in which a change of tasks reaches them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from gtsd.badges import operations as badges
from gtsd.badges.operations import Deed
from gtsd.errors import Unauthenticated
from gtsd.streaks import queries as q
from gtsd.web.fields import DayRange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gtsd.stores.postgres import Session, Transaction


@dataclass(frozen=True, slots=True)
class Ended:
    """Somebody whose days after ``before`` up to ``day`` are over and not closed."""

    user_id: int
    zone: str
    before: date
    day: date


@dataclass(frozen=True, slots=True)
class Counted:
    """The current streak after a change, and the whole streak as JSON."""

    current: int
    streak: str


async def lock(tx: Transaction, user_id: int, today: date) -> int:
    """Put a person's changes of days in order until the commit; gives the current streak.

    To be called before the tasks are changed: of parallel changes the second one then counts what
    the first one did. Raises Unauthenticated where the account was deleted meanwhile.
    """
    current: int | None = await tx.value(q.LOCK, user_id=user_id, today=today)
    if current is None:
        raise Unauthenticated
    return current


async def count_day(tx: Transaction, user_id: int, day: date, today: date) -> Counted:
    """Count a day's tasks again, and the streaks with it; the lock must be held."""
    row = await tx.row(q.COUNT_DAY, user_id=user_id, day=day, today=today)
    assert row is not None
    return Counted(*row)


async def count_from(tx: Transaction, user_id: int, day: date, today: date) -> None:
    """Count again what was counted of a day and all later ones; the lock must be held."""
    await count_all_from(tx, [user_id], [day], [today])


async def lock_all(tx: Transaction, user_ids: Sequence[int]) -> list[int]:
    """As ``lock``, for many people at once; gives those whose account is still there."""
    return [row[0] for row in await tx.rows(q.LOCK_ALL, user_ids=list(user_ids))]


async def count_all_from(
    tx: Transaction, user_ids: Sequence[int], days: Sequence[date], todays: Sequence[date]
) -> None:
    """As ``count_from``, for many people at once: each from a day on, with a today of their own."""
    await tx.execute(
        q.COUNT_ALL_FROM, user_ids=list(user_ids), days=list(days), todays=list(todays)
    )


async def mine(session: Session, user_id: int, today: date) -> bytes:
    """The streak and how today goes; raises Unauthenticated for an account that has gone."""
    text: str | None = await session.value(q.MINE, user_id=user_id, day=today, today=today)
    if text is None:
        raise Unauthenticated
    return text.encode()


async def history(session: Session, user_id: int, days: DayRange) -> bytes:
    """A page of days, the newest first."""
    text: str = await session.value(
        q.HISTORY,
        user_id=user_id,
        limit=days.limit,
        offset=days.offset,
        **{"from": days.from_, "to": days.to},
    )
    return text.encode()


async def check(tx: Transaction, user_id: int, day: date, today: date, now: datetime) -> bytes:
    """Count a day again. An old day changes the runs that it is part of, and no other."""
    await lock(tx, user_id, today)
    counted = await count_day(tx, user_id, day, today)
    await badges.award(tx, user_id, today, now, Deed.DAY_CHANGED)
    shown = await tx.value(q.DAY, user_id=user_id, day=day)
    return b'{"day":%b,"streak":%b}' % (shown.encode(), counted.streak.encode())


async def ended(session: Session, days: Mapping[str, date], limit: int) -> list[Ended]:
    """So many people with days that are over and not closed; ``days`` has each zone's last one."""
    rows = await session.rows(q.ENDED, zones=list(days), days=list(days.values()), limit=limit)
    return [Ended(*row) for row in rows]


async def close(tx: Transaction, people: Sequence[Ended], now: datetime) -> list[int]:
    """Close their days and count them; gives those of whom anything has changed by that.

    A day that was done ahead earns its badges now that it has come to its end.
    """
    rows = await tx.rows(
        q.CLOSE,
        user_ids=[one.user_id for one in people],
        zones=[one.zone for one in people],
        befores=[one.before for one in people],
        days=[one.day for one in people],
    )
    if not rows:
        return []
    user_ids, befores, days = (list(column) for column in zip(*rows, strict=True))
    counted = await tx.rows(q.COUNT_CLOSED, user_ids=user_ids, befores=befores, days=days)
    todays = {user_id: day + timedelta(days=1) for user_id, _, day in rows}
    firsts: dict[int, date] = {}
    for user_id, day, moves_runs in counted:
        if moves_runs:
            firsts[user_id] = min(day, firsts.get(user_id, day))
    for user_id, first in firsts.items():
        await count_from(tx, user_id, first, todays[user_id])
    await badges.award_many(tx, dict(zip(user_ids, days, strict=True)), now)
    return sorted({user_id for user_id, _, _ in counted})
