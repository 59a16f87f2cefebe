"""Today: what is due where the user is, from the cache and never wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gtsd.clock import FixedClock
from gtsd.stores.postgres import Query
from tests.api.conftest import Running, Start
from tests.api.tasks.test_tasks import add
from tests.support.client import Client


async def test_totals_are_of_the_day_not_of_the_page(ada: Client) -> None:
    """Nor of the type; the pages have their own total."""
    for number in range(3):
        await add(ada, f"meal {number}", type="meal")
    done = await add(ada, "run", type="cardio")
    await ada.post(f"/v1/tasks/{done['id']}/complete")
    await add(ada, "tomorrow", dueDate="2026-11-19")
    today = (await ada.get("/v1/tasks/today?limit=2")).data
    assert (today["totalTasks"], today["completedTasks"], today["completionPercentage"]) == (
        4,
        1,
        25,
    )
    assert sum(len(tasks) for tasks in today["tasksByType"].values()) == 2
    assert today["pagination"] == {"limit": 2, "offset": 0, "total": 4, "hasMore": True}
    meals = (await ada.get("/v1/tasks/today?type=meal")).data
    assert (meals["totalTasks"], meals["pagination"]["total"]) == (4, 3)
    assert set(meals["tasksByType"]) == {"meal"}
    tomorrow = (await ada.get("/v1/tasks/today?date=2026-11-19")).data
    assert (tomorrow["date"], tomorrow["totalTasks"]) == ("2026-11-19", 1)
    for query in ("date=2026-13-01", "type=sleep", "date=", "x=1"):
        assert (await ada.get(f"/v1/tasks/today?{query}")).status == 400, query


async def test_the_users_zone_decides_what_today_is(service: Running, clock: FixedClock) -> None:
    """Fault 13: at one moment it is three different days."""
    clock.move(datetime(2026, 11, 18, 11, 30, tzinfo=UTC) - clock.now())
    days = {}
    for zone in ("Pacific/Kiritimati", "UTC", "Pacific/Pago_Pago"):
        person = await service.person(timezone=zone)
        days[zone] = (await person.get("/v1/tasks/today")).data["date"]
        task = await add(person)
        assert task["dueDate"] == days[zone]
    assert days == {
        "Pacific/Kiritimati": "2026-11-19",
        "UTC": "2026-11-18",
        "Pacific/Pago_Pago": "2026-11-18",
    }
    clock.move(timedelta(hours=-1, minutes=-30))
    early = await service.person(timezone="Pacific/Pago_Pago")
    assert (await early.get("/v1/tasks/today")).data["date"] == "2026-11-17"


async def test_moving_to_another_zone_counts_at_once(service: Running, clock: FixedClock) -> None:
    """Although what is known of the user is cached."""
    clock.move(timedelta(hours=11))
    ada = await service.person(timezone="UTC")
    assert (await ada.get("/v1/tasks/today")).data["date"] == "2026-11-18"
    await ada.patch("/auth/me", {"timezone": "Asia/Tokyo"})
    assert (await ada.get("/v1/tasks/today")).data["date"] == "2026-11-19"


async def test_a_read_writes_nothing(service: Running, ada: Client) -> None:
    """Repeated tasks are made by writes alone."""
    await add(ada, repeat="daily")
    paths = ("/v1/tasks/today", "/v1/tasks", "/v1/streaks/me", "/v1/streaks/history", "/auth/me")
    before = await _next_transaction(service)
    for path in paths:
        assert (await ada.get(path)).status == 200
    assert await _next_transaction(service) == before
    await add(ada)
    assert await _next_transaction(service) > before


async def _next_transaction(service: Running) -> int:
    """PostgreSQL gives a number to each transaction that writes, and to no other."""
    query = Query("test", "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    number: int = await service.deps.postgres.value(query)
    return number


async def test_the_cache_is_never_wrong_after_a_write(service: Running, ada: Client) -> None:
    """Each write is seen by the next read, from two processes that share Redis."""
    for number in range(4):
        task = await add(ada, f"task {number}")
        assert (await ada.get("/v1/tasks/today")).data["totalTasks"] == number + 1
        await ada.post(f"/v1/tasks/{task['id']}/complete")
        assert (await ada.get("/v1/tasks/today")).data["completedTasks"] == number + 1
    assert b'"hit"' in (await ada.get("/metrics")).body


async def test_another_process_sees_a_write_at_once(start: Start) -> None:
    """The cache is shared, and so is its forgetting."""
    one, two = await start(), await start()
    ada = await one.person()
    other = Client(two.base, ada.token)
    for number in range(3):
        assert (await other.get("/v1/tasks/today")).data["totalTasks"] == number
        await add(ada, f"task {number}")
    assert (await other.get("/v1/tasks/today")).data["totalTasks"] == 3


async def test_an_unchanged_day_is_not_sent_again(ada: Client) -> None:
    """304 for the same ETag, 200 after a change."""
    first = await ada.get("/v1/tasks/today")
    condition = {"If-None-Match": first.headers["ETag"]}
    same = await ada.get("/v1/tasks/today", headers=condition)
    assert (same.status, same.body) == (304, b"")
    assert same.headers["ETag"] == first.headers["ETag"]
    await add(ada)
    assert (await ada.get("/v1/tasks/today", headers=condition)).status == 200


@pytest.mark.parametrize(
    ("repeat", "days"),
    [("daily", ["2026-11-20", "2026-11-21"]), ("weekdays", ["2026-11-20", "2026-11-23"])],
)
async def test_a_repeated_task_is_there_on_its_days(
    ada: Client, repeat: str, days: list[str]
) -> None:
    """From the first one on; 20 November is a Friday."""
    await add(ada, "Stretch", repeat=repeat, dueDate="2026-11-20")
    found = (await ada.get("/v1/tasks?from=2026-11-18&to=2026-11-30")).data["tasks"]
    assert [task["dueDate"] for task in found][:2] == days
    assert {task["repeat"] for task in found} == {repeat}


async def test_a_repetition_on_weekdays_never_starts_on_a_weekend(ada: Client) -> None:
    """It waits for Monday."""
    task = await add(ada, repeat="weekdays", dueDate="2026-11-21")
    assert task["dueDate"] == "2026-11-23"


async def test_whoever_stays_signed_in_never_runs_out_of_days(
    service: Running, ada: Client, clock: FixedClock
) -> None:
    """A refresh of the token makes the next weeks; days that were missed are not made up for."""
    await add(ada, "Stretch", repeat="daily")
    token = ada.refresh_token
    for _ in range(6):
        clock.move(timedelta(days=6))
        answer = await service.client.post("/auth/refresh", {"refreshToken": token})
        token = answer.data["refreshToken"]
        today = await ada.get("/v1/tasks/today", token=answer.data["accessToken"])
        assert today.data["totalTasks"] == 1
    clock.move(timedelta(days=90))
    body = {"email": ada.user["email"], "password": "Correct-horse-7"}
    back = await service.client.post("/auth/login", body)
    again = service.client.signed_in(back.data)
    assert (await again.get("/v1/tasks/today")).data["totalTasks"] == 1
    gap = await again.get("/v1/tasks?from=2027-02-01&to=2027-02-28")
    assert gap.data["pagination"]["total"] == 0


async def test_a_series_ends_where_it_is_told_to(ada: Client) -> None:
    """By ``repeat: null`` after a task, by deleting with what follows before it."""
    await add(ada, "Stretch", repeat="daily")
    tasks = (await ada.get("/v1/tasks?limit=100")).data["tasks"]
    assert len(tasks) == 29
    await ada.post(f"/v1/tasks/{tasks[10]['id']}/complete")
    ended = (await ada.patch(f"/v1/tasks/{tasks[5]['id']}", {"repeat": None})).data
    assert ended["repeat"] is None
    left = (await ada.get("/v1/tasks?limit=100")).data["tasks"]
    assert [task["dueDate"] for task in left] == [t["dueDate"] for t in [*tasks[:6], tasks[10]]]
    await ada.delete(f"/v1/tasks/{left[2]['id']}?scope=following")
    left = (await ada.get("/v1/tasks?limit=100")).data["tasks"]
    assert [task["status"] for task in left] == ["pending", "pending", "completed"]


async def test_deleting_what_follows_ends_a_running_series(ada: Client) -> None:
    """Without ``scope`` one day is taken out and the others stay."""
    await add(ada, "Stretch", repeat="daily")
    tasks = (await ada.get("/v1/tasks?limit=100")).data["tasks"]
    await ada.delete(f"/v1/tasks/{tasks[3]['id']}")
    assert (await ada.get("/v1/tasks")).data["pagination"]["total"] == 28
    await ada.delete(f"/v1/tasks/{tasks[2]['id']}?scope=following")
    left = (await ada.get("/v1/tasks")).data["tasks"]
    assert [task["dueDate"] for task in left] == ["2026-11-18", "2026-11-19"]


async def test_a_single_task_becomes_a_series_and_changes_its_rhythm(ada: Client) -> None:
    """A day holds one task of a series, so one cannot be moved onto another."""
    task = await add(ada)
    path = f"/v1/tasks/{task['id']}"
    assert (await ada.patch(path, {"repeat": "daily"})).data["repeat"] == "daily"
    assert (await ada.get("/v1/tasks")).data["pagination"]["total"] == 29
    taken = await ada.patch(path, {"dueDate": "2026-11-19"})
    assert (taken.status, taken.error["code"]) == (409, "day_taken")
    assert (await ada.patch(path, {"repeat": "weekdays"})).data["repeat"] == "weekdays"
    found = (await ada.get("/v1/tasks?limit=100")).data["tasks"]
    assert len(found) == 21
    assert {task["repeat"] for task in found} == {"weekdays"}
