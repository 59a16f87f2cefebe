"""A person's days are closed at midnight where they are, each of them once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gtsd.clock import FixedClock
from gtsd.stores.postgres import Query
from gtsd.streaks.jobs import close_days
from tests.api.conftest import Running, Start
from tests.support.client import Client

STEP = timedelta(minutes=15)
CLOSED = Query("closed", "SELECT closed_day FROM users WHERE id = %(user_id)s")
DAYS = Query(
    "days",
    "SELECT day, due, completed, compliant, run FROM streak_days WHERE user_id = %(user_id)s"
    " ORDER BY day",
)
# Clocks go forward and back: in Los Angeles at 2, on Chatham at 2:45 and 3:45, in Havana at
# midnight itself, where a day then begins at 1 or lasts an hour longer. Kolkata is half an hour off
# and never moves its clocks.
CASES = [
    ("America/Los_Angeles", date(2026, 3, 8)),
    ("America/Los_Angeles", date(2026, 11, 1)),
    ("Asia/Kolkata", date(2026, 3, 8)),
    ("Asia/Kolkata", date(2026, 11, 1)),
    ("Pacific/Chatham", date(2026, 4, 5)),
    ("Pacific/Chatham", date(2026, 9, 27)),
    ("America/Havana", date(2026, 3, 8)),
    ("America/Havana", date(2026, 11, 1)),
]


@dataclass
class Watched:
    """When which day of a person was closed."""

    service: Running
    clock: FixedClock
    user_id: int
    closings: list[tuple[datetime, date]] = field(default_factory=list)

    async def closed(self) -> date:
        """The last one."""
        found: date = await self.service.deps.postgres.value(CLOSED, user_id=self.user_id)
        return found

    async def live(self, until: datetime) -> None:
        """Run the job every quarter of an hour, and write down what it does."""
        while self.clock.now() < until:
            before = await self.closed()
            await close_days(self.service.deps)
            after = await self.closed()
            if after != before:
                self.closings.append((self.clock.now(), after))
            self.clock.move(STEP)

    @property
    def days(self) -> list[date]:
        """Those that were closed, in order."""
        return [day for _, day in self.closings]


def _id(person: Client) -> int:
    return int(person.user["id"])


def consecutive(days: list[date]) -> bool:
    """Whether none is missing and none comes twice."""
    return days == [days[0] + timedelta(days=n) for n in range(len(days))]


@pytest.fixture
async def alone(migrated_database_url: str, start: Start, clock: FixedClock) -> Running:
    """On a database of its own, in which nobody else's days end."""
    return await start(database_url=migrated_database_url)


async def _watched(service: Running, clock: FixedClock, zone: str, at: datetime) -> Watched:
    person = await service.person(timezone=zone)
    clock.move(at - clock.now())
    watched = Watched(service, clock, _id(person))
    await service.deps.postgres.execute(
        Query("begin", "UPDATE users SET closed_day = %(day)s WHERE id = %(user_id)s"),
        user_id=_id(person),
        day=at.astimezone(ZoneInfo(zone)).date() - timedelta(days=1),
    )
    return watched


@pytest.mark.parametrize(("zone", "day"), CASES)
async def test_each_day_is_closed_once_at_its_midnight_when_clocks_change(
    alone: Running, clock: FixedClock, zone: str, day: date
) -> None:
    """At the first look after it, on the days before, of and after the change."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    watched = await _watched(alone, clock, zone, noon - timedelta(days=2))
    await watched.live(noon + timedelta(days=2))
    assert watched.days == [day + timedelta(days=n) for n in (-2, -1, 0, 1)]
    for at, closed in watched.closings:
        local = ZoneInfo(zone)
        assert at.astimezone(local).date() == closed + timedelta(days=1)
        assert (at - STEP).astimezone(local).date() == closed


async def test_a_clock_that_knows_no_zones_is_noticed(
    migrated_database_url: str, start: Start, monkeypatch: pytest.MonkeyPatch, clock: FixedClock
) -> None:
    """The control: days would be closed at midnight of the server."""
    monkeypatch.setattr(FixedClock, "today", lambda self, _: self.now().date())
    service = await start(database_url=migrated_database_url)
    noon = datetime(2026, 3, 8, 20, tzinfo=UTC)
    watched = await _watched(service, clock, "America/Los_Angeles", noon)
    await watched.live(noon + timedelta(days=1))
    ((at, closed),) = watched.closings
    assert at.astimezone(ZoneInfo("America/Los_Angeles")).date() == closed


EAST = ("America/Los_Angeles", "Asia/Kolkata")


@pytest.mark.parametrize(("home", "away"), [EAST, EAST[::-1]], ids=["east", "west"])
@pytest.mark.parametrize("hour", range(0, 24, 3))
async def test_who_moves_has_neither_two_midnights_nor_none(
    alone: Running, clock: FixedClock, home: str, away: str, hour: int
) -> None:
    """Of each date of their calendar there is one, whenever they move half round the world."""
    began = datetime(2026, 11, 17, hour, tzinfo=UTC)
    watched = await _watched(alone, clock, home, began)
    await watched.live(began + timedelta(days=1))
    await alone.deps.postgres.execute(
        Query("move", "UPDATE users SET timezone = %(zone)s WHERE id = %(user_id)s"),
        user_id=watched.user_id,
        zone=away,
    )
    await watched.live(began + timedelta(days=4))
    assert consecutive(watched.days)
    here = clock.now().astimezone(ZoneInfo(away)).date()
    assert here - timedelta(days=1) == watched.days[-1]


def test_a_missing_or_repeated_day_is_noticed() -> None:
    """The control."""
    first, second, third = (date(2026, 11, n) for n in (17, 18, 19))
    assert consecutive([first, second, third])
    assert not consecutive([first, third])
    assert not consecutive([first, first, second])


async def _task(person: Client, day: str) -> int:
    answer = await person.post("/v1/tasks", {"title": "Read", "dueDate": day})
    assert answer.status == 201, answer.body
    return int(answer.data["id"])


async def _history(service: Running, person: Client) -> list[tuple[Any, ...]]:
    return await service.deps.postgres.rows(DAYS, user_id=_id(person))


async def test_a_day_on_which_nothing_was_done_is_counted(
    alone: Running, clock: FixedClock
) -> None:
    """Nobody has written anything on it, so only its midnight can tell; twice is as once."""
    person = await alone.person()
    await _task(person, "2026-11-19")
    clock.move(timedelta(days=2))
    await alone.deps.postgres.execute(
        Query("uncount", "DELETE FROM streak_days WHERE user_id = %(user_id)s"),
        user_id=_id(person),
    )
    await close_days(alone.deps)
    expected = [(date(2026, 11, 19), 1, 0, False, 0)]
    assert await _history(alone, person) == expected
    await close_days(alone.deps)
    assert await _history(alone, person) == expected


async def test_a_day_that_was_not_counted_joins_the_streak(
    alone: Running, clock: FixedClock
) -> None:
    """A completed day between two others that were counted makes one run of all three."""
    person = await alone.person()
    for day in ("2026-11-16", "2026-11-17", "2026-11-18"):
        answer = await person.post(f"/v1/tasks/{await _task(person, day)}/complete", {})
        assert answer.status == 200, answer.body
    await alone.deps.postgres.execute(
        Query(
            "uncount",
            "DELETE FROM streak_days WHERE user_id = %(user_id)s AND day = '2026-11-17';"
            "UPDATE streak_days SET run = 1 WHERE user_id = %(user_id)s;"
            "UPDATE users SET closed_day = '2026-11-15' WHERE id = %(user_id)s",
        ),
        user_id=_id(person),
    )
    clock.move(timedelta(days=1))
    await close_days(alone.deps)
    assert [row[4] for row in await _history(alone, person)] == [1, 2, 3]


async def test_workers_that_come_late_and_all_at_once_close_every_day(
    alone: Running, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After days without any worker: in several batches, beside each other."""
    monkeypatch.setattr("gtsd.streaks.jobs._BATCH", 2)
    people = [await alone.person() for _ in range(5)]
    for person in people:
        await _task(person, "2026-11-18")
        await _task(person, "2026-11-20")
    clock.move(timedelta(days=4))
    await asyncio.gather(*(close_days(alone.deps) for _ in range(3)))
    for person in people:
        days = [row[0].day for row in await _history(alone, person)]
        assert days == [18, 20]
        closed = await alone.deps.postgres.value(CLOSED, user_id=_id(person))
        assert closed == date(2026, 11, 21)


async def test_a_zone_that_is_gone_keeps_nobody_else_waiting(
    alone: Running, clock: FixedClock
) -> None:
    """As when a table of zones lost a name that was accepted before."""
    lost, other = await alone.person(), await alone.person()
    await alone.deps.postgres.execute(
        Query("lose", "UPDATE users SET timezone = 'Atlantis/Capital' WHERE id = %(user_id)s"),
        user_id=_id(lost),
    )
    await _task(other, "2026-11-18")
    clock.move(timedelta(days=1))
    await close_days(alone.deps)
    assert await alone.deps.postgres.value(CLOSED, user_id=_id(other)) == date(2026, 11, 18)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12", "UTC"])
async def test_the_first_day_of_an_account_is_the_first_that_is_closed(
    alone: Running, clock: FixedClock, zone: str
) -> None:
    """Wherever they are, whatever the server's date: neither the day before, nor none."""
    person = await alone.person(timezone=zone)
    today = clock.today(zone)
    await close_days(alone.deps)
    assert await alone.deps.postgres.value(CLOSED, user_id=_id(person)) == today - timedelta(days=1)
    clock.move(timedelta(days=1))
    await close_days(alone.deps)
    assert await alone.deps.postgres.value(CLOSED, user_id=_id(person)) == today
