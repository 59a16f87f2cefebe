"""Next week's plans by the job; it is Wednesday, 18 November 2026, noon in UTC."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest

from gtsd.clock import FixedClock
from gtsd.plans import weeks
from gtsd.plans.jobs import plan_weeks
from gtsd.plans.weeks import Week
from gtsd.stores.postgres import Query, Transaction
from gtsd.stores.postgres_link import Link
from tests.api.conftest import Running, Start
from tests.api.plans.people import fill, plans_of, tasks_of
from tests.api.profile.bodies import back, planned
from tests.api.tasks.test_tasks import add

TODAY, TOMORROW = date(2026, 11, 18), date(2026, 11, 19)
NEXT = (TOMORROW, date(2026, 11, 25), None)
_DEACTIVATE = Query("test_off", "UPDATE users SET is_active = false WHERE id = ANY(%(user_ids)s)")


@pytest.fixture
async def service(start: Start, migrated_database_url: str) -> Running:
    """An instance whose database has nobody in it yet."""
    return await start(database_url=migrated_database_url)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts the statements that go to the database, by name."""
    counts: Counter[str] = Counter()
    send = Link.send

    async def counted(link: Link, connection: Any, query: Query, *rest: Any) -> Any:
        counts[query.name] += 1
        return await send(link, connection, query, *rest)

    monkeypatch.setattr(Link, "send", counted)
    return counts


async def test_next_week_is_there_before_it_begins(service: Running) -> None:
    """Made on the last day of a plan; this week's one counts until its end."""
    postgres = service.deps.postgres
    people = await fill(postgres, "due", 60, TODAY)
    later = await fill(postgres, "later", 5, TOMORROW)
    await plan_weeks(service.deps)
    ended = (date(2026, 11, 12), TODAY, TOMORROW)
    assert await plans_of(postgres, people) == [(*ended, 60), (*NEXT, 60)]
    assert await tasks_of(postgres, later) == []
    tasks = await tasks_of(postgres, people)
    assert {row[0] for row in tasks} == {TOMORROW + timedelta(days=n) for n in range(7)}
    meals = Counter[date]()
    for day, slot, count in tasks:
        if slot.startswith("meal_"):
            meals[day] += count
    # From one meal a day to ten, each number as often as any other.
    assert set(meals.values()) == {60 * 55 // 10}


async def test_everybody_has_their_own_last_day(service: Running) -> None:
    """At noon in UTC it is tomorrow on Kiritimati."""
    postgres = service.deps.postgres
    expected = {
        ("Pacific/Kiritimati", TOMORROW): 2,
        ("UTC", TOMORROW): 1,
        ("UTC", TODAY): 2,
        ("Pacific/Pago_Pago", TODAY): 2,
        ("Pacific/Pago_Pago", TOMORROW): 1,
    }
    people = {
        key: await fill(postgres, f"zone{number}", 3, key[1], key[0])
        for number, key in enumerate(expected)
    }
    await plan_weeks(service.deps)
    found = {key: len(await plans_of(postgres, ids)) for key, ids in people.items()}
    assert found == expected


async def test_a_week_is_planned_once_however_often_the_job_runs(service: Running) -> None:
    """Three workers at the same time, and one more afterwards."""
    postgres = service.deps.postgres
    people = await fill(postgres, "once", 30, TODAY)
    await asyncio.gather(*(plan_weeks(service.deps, chunk=7) for _ in range(3)))
    plans, tasks = await plans_of(postgres, people), await tasks_of(postgres, people)
    assert [row[3] for row in plans] == [30, 30]
    await plan_weeks(service.deps)
    assert (await plans_of(postgres, people), await tasks_of(postgres, people)) == (plans, tasks)


async def test_a_job_that_dies_is_finished_by_the_next(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was committed stays, half a chunk never is, and nobody is left out."""
    postgres = service.deps.postgres
    people = await fill(postgres, "dies", 20, TODAY)
    write, calls = weeks.write, 0

    async def dies(tx: Transaction, given: Sequence[Week], now: datetime) -> None:
        nonlocal calls
        calls += 1
        await write(tx, given, now)
        if calls == 3:
            raise ConnectionError

    monkeypatch.setattr(weeks, "write", dies)
    with pytest.raises(ConnectionError):
        await plan_weeks(service.deps, chunk=5)
    half = await plans_of(postgres, people)
    assert [row[3] for row in half if row[2] is None] == [10, 10]
    await plan_weeks(service.deps, chunk=5)
    assert [row[3] for row in await plans_of(postgres, people)] == [20, 20]


async def test_statements_do_not_grow_with_people(service: Running, sent: Counter[str]) -> None:
    """Forty people of a chunk take as many as two; one by one, the control, they take more."""
    totals = []
    for number, (count, chunk) in enumerate(((2, 100), (40, 100), (40, 1))):
        await fill(service.deps.postgres, f"batch{number}", count, TODAY)
        sent.clear()
        await plan_weeks(service.deps, chunk=chunk)
        totals.append(sum(sent.values()))
    assert totals[0] == totals[1] <= 12
    assert totals[2] > 40 * 8


async def test_people_may_write_while_the_job_runs(service: Running, clock: FixedClock) -> None:
    """Neither waits for the other for ever, and everybody has one plan and each task once."""
    people = [await service.person() for _ in range(6)]
    for person in people:
        await planned(person)
    clock.move(timedelta(days=6))
    people = [await back(person) for person in people]
    answers = await asyncio.gather(
        plan_weeks(service.deps, chunk=2),
        plan_weeks(service.deps, chunk=3),
        *(each.post("/v1/plans/generate", {"forceRecompute": True}) for each in people),
        *(each.patch("/v1/profile", {"health": {"currentWeight": 60}}) for each in people),
        *(each.post("/v1/tasks", {"title": "x"}) for each in people),
    )
    assert {answer.status for answer in answers[2:] if answer is not None} == {200, 201}
    await plan_weeks(service.deps)
    ids = [person.user["id"] for person in people]
    open_plans = [row for row in await plans_of(service.deps.postgres, ids) if row[2] is None]
    assert sum(row[3] for row in open_plans) == len(people)
    tasks = await tasks_of(service.deps.postgres, ids)
    assert {count for _, slot, count in tasks if slot == "water"} == {len(people)}


async def test_whoever_was_forgotten_begins_anew_from_now(service: Running) -> None:
    """Nobody is asked for what would have been due while no job ran, nor this morning."""
    postgres = service.deps.postgres
    people = await fill(postgres, "late", 12, TODAY - timedelta(days=5))
    await plan_weeks(service.deps)
    assert [row[:2] for row in await plans_of(postgres, people)][1] == (
        TODAY,
        TODAY + timedelta(days=6),
    )
    tasks = await tasks_of(postgres, people)
    assert tasks[0][0] == TODAY
    slots = {row[1] for row in tasks if row[0] == TODAY}
    assert "water" in slots
    assert "weight" not in slots


async def test_a_zone_that_is_gone_stops_nobody_else(service: Running) -> None:
    """Its people wait; whoever comes after them in the walk is planned for."""
    postgres = service.deps.postgres
    lost = await fill(postgres, "lost", 2, TODAY, "Mars/Olympus")
    others = await fill(postgres, "others", 2, TODAY)
    await plan_weeks(service.deps, chunk=2)
    assert await tasks_of(postgres, lost) == []
    assert (await plans_of(postgres, others))[-1] == (*NEXT, 2)


async def test_nobody_is_planned_for_whose_account_is_off(service: Running) -> None:
    """A person who is deactivated keeps what there is."""
    postgres = service.deps.postgres
    people = await fill(postgres, "off", 3, TODAY)
    await postgres.execute(_DEACTIVATE, user_ids=people)
    await plan_weeks(service.deps)
    assert await tasks_of(postgres, people) == []


async def test_the_job_changes_what_was_counted_and_what_is_cached(
    service: Running, clock: FixedClock
) -> None:
    """A day that was done in advance has more to do now, and a late plan shows today at once."""
    ada = await service.person()
    await planned(ada)
    clock.move(timedelta(days=6))
    ada = await back(ada)
    task = await add(ada, dueDate="2026-11-25")
    await ada.post(f"/v1/tasks/{task['id']}/complete")
    assert (await ada.get("/v1/streaks/history")).data["days"][0]["compliant"] is True
    await plan_weeks(service.deps)
    history = (await ada.get("/v1/streaks/history")).data
    assert history["days"][0]["compliant"] is False
    assert history["days"][0]["due"] > 1
    await ada.post("/v1/streaks/check-compliance", {"date": "2026-11-25"})
    assert (await ada.get("/v1/streaks/history")).data == history
    assert (await ada.get("/v1/plans/current")).data["endsOn"] == "2026-11-24"
    clock.move(timedelta(days=8, hours=-2))
    ada = await back(ada)
    assert (await ada.get("/v1/plans/current")).status == 404
    assert (await ada.get("/v1/tasks/today")).data["totalTasks"] == 0
    await plan_weeks(service.deps)
    assert (await ada.get("/v1/tasks/today")).data["totalTasks"] > 0


async def test_on_the_last_day_both_weeks_can_be_planned_anew(
    service: Running, clock: FixedClock
) -> None:
    """A plan by force takes the place of today's and of the one that was made ahead."""
    ada = await service.person()
    await planned(ada)
    clock.move(timedelta(days=6))
    ada = await back(ada)
    await plan_weeks(service.deps)
    forced = await ada.post("/v1/plans/generate", {"forceRecompute": True})
    assert (forced.data["startsOn"], forced.data["endsOn"]) == ("2026-11-24", "2026-11-30")
    assert (await ada.get("/v1/plans/current")).data == forced.data
    found = (await ada.get("/v1/tasks?from=2026-11-25&type=hydration")).data["tasks"]
    assert [task["dueDate"] for task in found] == [f"2026-11-{day}" for day in range(25, 31)]
    assert time.fromisoformat(found[0]["dueTime"]) == time(21)
