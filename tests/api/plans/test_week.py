"""A plan and the tasks of its week; the clock stands at noon of Wednesday, 18 November 2026."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from gtsd.clock import FixedClock
from gtsd.stores.postgres import ConstraintViolated, Query
from tests.api.conftest import Running
from tests.api.profile.bodies import back, onboarded, planned
from tests.api.tasks.test_tasks import add
from tests.support.client import Client

TODAY, LAST = "2026-11-18", "2026-11-24"
FORCE = {"forceRecompute": True}
_ACTIVE = Query(
    "test_active",
    "SELECT count(*) FROM plans WHERE user_id = %(user_id)s AND archived_on IS NULL",
)
_ALL = Query("test_all", "SELECT count(*) FROM plans WHERE user_id = %(user_id)s")
_SLOTS = Query(
    "test_slots",
    """
    SELECT due_date, plan_slot FROM tasks WHERE user_id = %(user_id)s AND plan_slot IS NOT NULL
    ORDER BY 1, 2
    """,
)
_SECOND = Query(
    "test_second",
    """
    INSERT INTO plans (user_id, starts_on, ends_on, primary_goal, activity_level, weight_kg,
        meals_per_day, bmr_kcal, tdee_kcal, calories_kcal, protein_g, water_ml, weekly_rate_kg)
    SELECT user_id, starts_on, ends_on, primary_goal, activity_level, weight_kg,
        meals_per_day, bmr_kcal, tdee_kcal, calories_kcal, protein_g, water_ml, weekly_rate_kg
    FROM plans WHERE user_id = %(user_id)s
    """,
)
_TWIN = Query(
    "test_twin",
    """
    INSERT INTO tasks (user_id, type, title, due_date, plan_day, plan_slot)
    SELECT user_id, type, title, due_date, plan_day, plan_slot FROM tasks
    WHERE user_id = %(user_id)s AND plan_slot = 'water' AND plan_day = '2026-11-20'
    """,
)


async def tasks(client: Client, **query: str) -> list[dict[str, Any]]:
    """All tasks of a person, or those that a query finds."""
    words = "&".join(f"{name}={value}" for name, value in query.items())
    found: list[dict[str, Any]] = (await client.get(f"/v1/tasks?limit=100&{words}")).data["tasks"]
    return found


async def _of(client: Client, day: str, kind: str) -> dict[str, Any]:
    """The task of a type on a day, the last one where it has several."""
    return (await tasks(client, **{"from": day, "to": day, "type": kind}))[-1]


async def test_a_plan_lays_out_the_tasks_of_its_week(ada: Client) -> None:
    """Fault 15: by goal, level, meals and weight, from today on for seven days."""
    plan = await planned(ada)
    assert (plan["startsOn"], plan["endsOn"], plan["status"]) == (TODAY, LAST, "active")
    targets = {name: plan["targets"][name] for name in ("calories", "protein", "water")}
    assert targets == {"calories": 2560, "protein": 188, "water": 3000}
    assert (await ada.get("/v1/plans/current")).data == plan
    found = await tasks(ada)
    assert len(found) == plan["totalTasks"] == sum(day["total"] for day in plan["days"])
    assert [day["date"] for day in plan["days"]] == sorted({t["dueDate"] for t in found})
    # A Wednesday, of which the morning is over, and six whole days.
    assert Counter(task["type"] for task in found) == {
        "meal": 2 + 6 * 3,
        "hydration": 7,
        "workout": 5,
        "cardio": 3,
        "weight_log": 2,
        "progress_photo": 1,
    }
    meals = [t for t in found if t["type"] == "meal" and t["dueDate"] == "2026-11-19"]
    assert sum(meal["metadata"]["calories"] for meal in meals) == 2560
    assert {task["status"] for task in found} == {"pending"}


async def test_the_week_is_planned_once(service: Running, ada: Client) -> None:
    """Whoever asks again is shown what there is; with force there is a new one."""
    plan = await planned(ada)
    before = await tasks(ada)
    again = await ada.post("/v1/plans/generate", {})
    assert (again.status, again.data) == (200, plan)
    assert (await ada.post("/v1/plans/generate")).status == 200
    forced = await ada.post("/v1/plans/generate", FORCE)
    assert forced.status == 201
    assert forced.data["id"] != plan["id"]
    assert (await ada.get("/v1/plans/current")).data == forced.data
    postgres, user_id = service.deps.postgres, ada.user["id"]
    assert await postgres.value(_ACTIVE, user_id=user_id) == 1
    assert await postgres.value(_ALL, user_id=user_id) == 2
    place = ("dueDate", "dueTime", "title", "type", "metadata")
    shapes = [
        [tuple(str(task[name]) for name in place) for task in found]
        for found in (before, await tasks(ada))
    ]
    assert shapes[0] == shapes[1]


async def test_a_key_makes_a_plan_safe_to_ask_for(ada: Client) -> None:
    """The first answer is replayed, though a plain repetition would be answered with 200."""
    await onboarded(ada)
    headers = {"Idempotency-Key": "plan-1"}
    first = await ada.post("/v1/plans/generate", FORCE, headers=headers)
    again = await ada.post("/v1/plans/generate", FORCE, headers=headers)
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    other = await ada.post("/v1/plans/generate", {}, headers=headers)
    assert (other.status, other.error["code"]) == (422, "idempotency_key_reused")


async def test_bad_words_are_named(ada: Client) -> None:
    """And a plan needs a profile."""
    early = await ada.post("/v1/plans/generate", {})
    assert (early.status, early.error["code"]) == (409, "not_onboarded")
    missing = await ada.get("/v1/plans/current")
    assert (missing.status, missing.error["code"]) == (404, "no_plan")
    for body in ({"forceRecompute": "yes"}, {"force": True}):
        answer = await ada.post("/v1/plans/generate", body)
        assert (answer.status, list(answer.error["fields"])) == (400, [next(iter(body))])


async def test_another_plan_keeps_what_was_done(
    service: Running, ada: Client, clock: FixedClock
) -> None:
    """Completed, proven, skipped, begun or moved: all stay, and no day has a task twice."""
    await planned(ada)
    clock.move(timedelta(minutes=1))
    done = await _of(ada, TODAY, "hydration")
    early = await _of(ada, "2026-11-21", "hydration")
    for task in (done, early):
        await ada.post(f"/v1/tasks/{task['id']}/complete")
    proven = await _of(ada, "2026-11-19", "hydration")
    proof = {"taskId": proven["id"], "type": "text_log", "data": {"text": "three bottles"}}
    await ada.post("/v1/evidence", proof)
    skipped = await _of(ada, "2026-11-20", "workout")
    await ada.post(f"/v1/tasks/{skipped['id']}/skip", {"reason": "ill"})
    begun = await _of(ada, "2026-11-23", "workout")
    await ada.patch(f"/v1/tasks/{begun['id']}", {"status": "in_progress"})
    moved = await _of(ada, "2026-11-19", "meal")
    await ada.patch(f"/v1/tasks/{moved['id']}", {"dueDate": "2026-11-20"})
    own = await add(ada, "My own", dueDate="2026-11-20")
    kept = [done, early, proven, skipped, begun, moved, own]
    before = [(await ada.get(f"/v1/tasks/{task['id']}")).data for task in kept]
    untouched = await _of(ada, "2026-11-22", "hydration")
    slots = await service.deps.postgres.rows(_SLOTS, user_id=ada.user["id"])

    assert (await ada.post("/v1/plans/generate", FORCE)).status == 201
    after = [(await ada.get(f"/v1/tasks/{task['id']}")).data for task in kept]
    assert after == before
    assert (await ada.get(f"/v1/tasks/{untouched['id']}")).status == 404
    assert await service.deps.postgres.rows(_SLOTS, user_id=ada.user["id"]) == slots


async def test_another_plan_does_not_pardon_what_was_missed_today(
    ada: Client, clock: FixedClock
) -> None:
    """What was due and not done stays due, and what would have been due is not asked for."""
    await planned(ada)
    lunch = (await tasks(ada, **{"from": TODAY, "to": TODAY, "type": "meal"}))[0]
    assert lunch["dueTime"] == "13:45"
    clock.move(timedelta(hours=6, minutes=30))
    ada = await back(ada)
    assert (await ada.post("/v1/plans/generate", FORCE)).status == 201
    assert (await ada.get(f"/v1/tasks/{lunch['id']}")).data == lunch
    today = await tasks(ada, **{"from": TODAY, "to": TODAY})
    assert [task["dueTime"] for task in today] == ["13:45", "18:00", "20:00", "21:00"]


async def test_late_in_the_evening_today_stays_empty(service: Running, clock: FixedClock) -> None:
    """Nobody is asked for a breakfast at eleven at night; the plan begins all the same."""
    clock.move(timedelta(hours=11))
    ada = await service.person()
    plan = await planned(ada)
    assert (plan["startsOn"], plan["days"][0]["date"]) == (TODAY, "2026-11-19")
    assert (await ada.get("/v1/tasks/today")).data["totalTasks"] == 0


async def test_a_plan_starts_on_the_day_of_its_owner(service: Running, clock: FixedClock) -> None:
    """Fault 13: at one moment it is three different days, and three times of day."""
    first_tasks = {}
    for zone in ("Pacific/Kiritimati", "UTC", "Pacific/Pago_Pago"):
        person = await service.person(timezone=zone)
        plan = await planned(person)
        today = (await person.get("/v1/tasks/today")).data
        first_tasks[zone] = (plan["startsOn"], today["date"], today["totalTasks"])
    assert first_tasks == {
        "Pacific/Kiritimati": ("2026-11-19", "2026-11-19", 6),
        "UTC": (TODAY, TODAY, 4),
        "Pacific/Pago_Pago": (TODAY, TODAY, 5),
    }


async def test_the_cache_is_right_after_a_plan(ada: Client) -> None:
    """Today is read before and after, and again after each change of the plan."""
    await onboarded(ada)
    assert (await ada.get("/v1/tasks/today")).data["totalTasks"] == 0
    await ada.post("/v1/plans/generate", {})
    today = (await ada.get("/v1/tasks/today")).data
    assert today["totalTasks"] == 4
    await ada.patch("/v1/profile", {"health": {"currentWeight": 120}})
    other = (await ada.get("/v1/tasks/today")).data
    assert other["tasksByType"]["hydration"] != today["tasksByType"]["hydration"]


async def test_a_streak_counts_the_day_with_its_planned_tasks(ada: Client) -> None:
    """A day that was done is not, once more is asked for; all counts are as if counted anew."""
    for day in (TODAY, "2026-11-19"):
        task = await add(ada, dueDate=day)
        await ada.post(f"/v1/tasks/{task['id']}/complete")
    assert (await ada.get("/v1/streaks/me")).data["current"] == 1
    await planned(ada)
    streak = (await ada.get("/v1/streaks/me")).data
    assert (streak["current"], streak["today"]["due"], streak["totalDays"]) == (0, 5, 0)
    history = (await ada.get("/v1/streaks/history")).data
    for day in history["days"]:
        await ada.post("/v1/streaks/check-compliance", {"date": day["date"]})
    assert (await ada.get("/v1/streaks/history")).data == history
    assert [day["compliant"] for day in history["days"]] == [False, False]
    for task in await tasks(ada, **{"from": TODAY, "to": TODAY}):
        await ada.post(f"/v1/tasks/{task['id']}/complete")
    assert (await ada.get("/v1/streaks/me")).data["current"] == 1
    assert (await ada.get("/v1/plans/current")).data["completedTasks"] == 4


@pytest.mark.parametrize(("body", "statuses"), [({}, {200: 7, 201: 1}), (FORCE, {201: 8})])
async def test_parallel_requests_leave_one_plan(
    service: Running, ada: Client, body: dict[str, Any], statuses: dict[int, int]
) -> None:
    """Without force one of them makes it; with force each does, and the last one counts."""
    await onboarded(ada)
    answers = await asyncio.gather(*(ada.post("/v1/plans/generate", body) for _ in range(8)))
    assert Counter(answer.status for answer in answers) == statuses
    assert await service.deps.postgres.value(_ACTIVE, user_id=ada.user["id"]) == 1
    slots = await service.deps.postgres.rows(_SLOTS, user_id=ada.user["id"])
    assert len(set(slots)) == len(slots) == 38


async def test_the_schema_itself_allows_one_plan_and_one_task_of_it_a_day(
    service: Running, ada: Client
) -> None:
    """Whatever code may do wrong."""
    await planned(ada)
    for query, constraint in ((_SECOND, "plans_active"), (_TWIN, "tasks_plan_slot")):
        with pytest.raises(ConstraintViolated) as caught:
            await service.deps.postgres.execute(query, user_id=ada.user["id"])
        assert caught.value.constraint == constraint


async def test_a_week_that_is_over_is_no_plan(ada: Client, clock: FixedClock) -> None:
    """On its last day it still is; after it a new one is made, which archives it."""
    plan = await planned(ada)
    clock.move(timedelta(days=6))
    ada = await back(ada)
    assert (await ada.get("/v1/plans/current")).data["id"] == plan["id"]
    clock.move(timedelta(days=1))
    ada = await back(ada)
    assert (await ada.get("/v1/plans/current")).status == 404
    made = await ada.post("/v1/plans/generate", {})
    assert (made.status, made.data["startsOn"]) == (201, "2026-11-25")
