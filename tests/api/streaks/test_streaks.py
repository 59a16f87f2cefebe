"""Streaks: days in a row where the user is."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from gtsd.clock import FixedClock
from tests.api.conftest import Running
from tests.api.tasks.test_tasks import add
from tests.support.client import PASSWORD, Client

TODAY = date(2026, 11, 18)


async def done(client: Client, day: date, tasks: int = 1, completed: int = 1) -> None:
    """A day with so many tasks, so many of them completed."""
    for number in range(tasks):
        task = await add(client, f"task {number}", dueDate=day.isoformat())
        if number < completed:
            await client.post(f"/v1/tasks/{task['id']}/complete")


async def current(client: Client) -> int:
    """As the API says it."""
    streak: int = (await client.get("/v1/streaks/me")).data["current"]
    return streak


async def test_days_in_a_row_are_counted(ada: Client) -> None:
    """In whatever order they were done."""
    for age in (2, 0, 1):
        await done(ada, TODAY - timedelta(days=age))
    streak = (await ada.get("/v1/streaks/me")).data
    assert (streak["current"], streak["longest"], streak["totalDays"]) == (3, 3, 3)
    assert streak["today"]["compliance"] == 1
    assert streak["threshold"] == 0.8


async def test_today_may_still_be_done(ada: Client) -> None:
    """Yesterday's streak stands until the day is over."""
    await done(ada, TODAY - timedelta(days=1))
    await add(ada)
    assert await current(ada) == 1


async def test_a_missed_day_ends_it_without_a_write(service: Running, clock: FixedClock) -> None:
    """Fault 10: a gap of 47 hours kept it. Two midnights have passed."""
    clock.move(timedelta(hours=-11, minutes=-30))  # 00:30 on the 18th
    ada = await service.person()
    await done(ada, TODAY)
    clock.move(timedelta(hours=47))  # 23:30 on the 19th
    again = await _sign_in(service, ada)
    assert await current(again) == 1
    clock.move(timedelta(hours=1))  # 00:30 on the 20th: nothing was done on the 19th
    again = await _sign_in(service, ada)
    today = (await again.get("/v1/tasks/today")).data
    assert (await current(again), today["streak"]["current"]) == (0, 0)
    assert (await again.get("/v1/streaks/me")).data["longest"] == 1


async def _sign_in(service: Running, client: Client) -> Client:
    body = {"email": client.user["email"], "password": PASSWORD}
    return service.client.signed_in((await service.client.post("/auth/login", body)).data)


async def test_an_old_date_never_raises_todays_streak(ada: Client) -> None:
    """Fault 10: evidence for last week did."""
    await done(ada, TODAY - timedelta(days=7))
    answer = await ada.post(
        "/v1/streaks/check-compliance", {"date": (TODAY - timedelta(days=7)).isoformat()}
    )
    assert (answer.data["day"]["compliant"], answer.data["streak"]["current"]) == (True, 0)
    assert answer.data["streak"]["totalDays"] == 1


async def test_filling_a_gap_joins_the_runs(ada: Client) -> None:
    """Which is what recomputing means; taking it back parts them again."""
    await done(ada, TODAY - timedelta(days=2))
    await done(ada, TODAY)
    assert await current(ada) == 1
    between = await add(ada, dueDate=(TODAY - timedelta(days=1)).isoformat())
    await ada.post(f"/v1/tasks/{between['id']}/complete")
    assert await current(ada) == 3
    await ada.post(f"/v1/tasks/{between['id']}/uncomplete")
    streak = (await ada.get("/v1/streaks/me")).data
    assert (streak["current"], streak["longest"], streak["totalDays"]) == (1, 1, 2)


@pytest.mark.parametrize(
    ("tasks", "completed", "skipped", "compliant"),
    [
        (5, 4, 0, True),  # 0.80 is enough
        (5, 3, 0, False),
        (4, 3, 0, False),  # 0.75
        (5, 3, 1, False),  # 3 of 4
        (5, 3, 2, True),  # 3 of 3
        (2, 0, 2, False),  # nothing was done
    ],
)
async def test_the_threshold_is_met_or_not(
    ada: Client, tasks: int, completed: int, skipped: int, compliant: bool
) -> None:
    """completed / (due - skipped) >= 0.80, and something was done."""
    for number in range(tasks):
        task = await add(ada, f"task {number}")
        if number < completed:
            await ada.post(f"/v1/tasks/{task['id']}/complete")
        elif number < completed + skipped:
            await ada.post(f"/v1/tasks/{task['id']}/skip")
    today = (await ada.get("/v1/streaks/me")).data["today"]
    assert (today["due"], today["completed"], today["skipped"]) == (tasks, completed, skipped)
    assert today["compliant"] is compliant
    assert await current(ada) == int(compliant)


async def test_a_new_task_can_undo_a_day(ada: Client) -> None:
    """As can deleting, moving and changing one: the count is of the tasks as they are."""
    await done(ada, TODAY)
    extra = await add(ada, "Extra")
    assert await current(ada) == 0
    await ada.patch(f"/v1/tasks/{extra['id']}", {"dueDate": "2026-11-19"})
    assert await current(ada) == 1
    await ada.patch(f"/v1/tasks/{extra['id']}", {"dueDate": TODAY.isoformat()})
    assert await current(ada) == 0
    await ada.delete(f"/v1/tasks/{extra['id']}")
    assert await current(ada) == 1


async def test_the_history_shows_days_with_their_compliance(ada: Client) -> None:
    """The newest first, in pages, within bounds."""
    await done(ada, TODAY - timedelta(days=3), tasks=2, completed=1)
    await done(ada, TODAY - timedelta(days=1))
    await done(ada, TODAY)
    history = (await ada.get("/v1/streaks/history")).data
    assert [(day["date"], day["compliance"], day["run"]) for day in history["days"]] == [
        ("2026-11-18", 1.0, 2),
        ("2026-11-17", 1.0, 1),
        ("2026-11-15", 0.5, 0),
    ]
    page = (await ada.get("/v1/streaks/history?to=2026-11-17&limit=1")).data
    assert [day["date"] for day in page["days"]] == ["2026-11-17"]
    assert page["pagination"]["total"] == 2


async def test_a_day_is_counted_again_on_request(ada: Client) -> None:
    """Today by default; a day that does not exist is refused."""
    await done(ada, TODAY)
    answer = await ada.post("/v1/streaks/check-compliance")
    assert (answer.data["day"]["date"], answer.data["streak"]["current"]) == ("2026-11-18", 1)
    assert (await ada.post("/v1/streaks/check-compliance", {"date": "2026-02-29"})).status == 400
