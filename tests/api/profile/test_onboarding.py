"""Onboarding: what it takes, what it refuses, and that it may be repeated."""

from __future__ import annotations

import asyncio
import random
from datetime import date, timedelta
from typing import Any, get_args

import pytest

from gtsd.plans.formulas import ActivityLevel, Gender, Goal
from gtsd.stores.postgres import Query
from tests.api.conftest import Running
from tests.api.profile.bodies import CHECKED, onboarded, planned
from tests.support.client import Client

TODAY = date(2026, 11, 18)
EXTREMES = [
    {"currentWeight": 30, "targetWeight": 300, "height": 100, "gender": "female"},
    {"currentWeight": 300, "targetWeight": 30, "height": 250, "mealsPerDay": 10},
    {"dateOfBirth": "2013-11-18", "primaryGoal": "gain_muscle", "mealsPerDay": 1},
    {"dateOfBirth": "1905-11-19", "primaryGoal": "maintain", "activityLevel": "sedentary"},
    {"targetDate": "2026-11-19", "primaryGoal": "improve_health", "gender": "other"},
    {
        "targetDate": "2100-12-31",
        "dietaryPreferences": ["x" * 50] * 20,
        "allergies": ["y" * 50] * 20,
    },
    {"partners": [{"name": "B", "phone": "+4930123456", "relationship": "x" * 50}] * 10},
]


async def test_onboarding_answers_with_the_account(ada: Client) -> None:
    """With what it shows of the profile."""
    before = (await ada.get("/auth/me")).data
    assert before["hasCompletedOnboarding"] is False
    body = CHECKED | {"dietaryPreferences": ["vegan"], "allergies": ["nuts"], "mealsPerDay": 4}
    answer = await ada.post("/v1/onboarding", body)
    assert answer.status == 201
    assert answer.data == (await ada.get("/auth/me")).data
    shown = ("hasCompletedOnboarding", "dietaryPreferences", "allergies", "mealsPerDay")
    assert [answer.data[name] for name in shown] == [True, ["vegan"], ["nuts"], 4]


@pytest.mark.parametrize("fields", EXTREMES)
async def test_nothing_that_onboarding_takes_breaks_a_plan(
    ada: Client, fields: dict[str, Any]
) -> None:
    """Fault 14: every field at both of its ends."""
    await onboarded(ada, **fields)
    for path in ("/v1/profile", "/v1/summary/how-it-works", "/v1/profile/metrics/today"):
        assert (await ada.get(path)).status == 200, path
    made = await ada.post("/v1/plans/generate", {})
    assert made.status == 201, made.body
    assert made.data["totalTasks"] > 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dateOfBirth", "2013-11-19"),
        ("dateOfBirth", "1905-11-18"),
        ("dateOfBirth", "2027-01-01"),
        ("dateOfBirth", "1990-02-30"),
        ("gender", "robot"),
        ("primaryGoal", "fly"),
        ("currentWeight", 29.99),
        ("currentWeight", 300.01),
        ("currentWeight", "85"),
        ("targetWeight", 29),
        ("height", 99.9),
        ("height", 251),
        ("targetDate", "2026-11-18"),
        ("targetDate", "9999-12-31"),
        ("activityLevel", "lazy"),
        ("dietaryPreferences", ["x"] * 21),
        ("allergies", ["x" * 51]),
        ("allergies", [""]),
        ("mealsPerDay", 0),
        ("mealsPerDay", 11),
        ("mealsPerDay", 2.5),
        ("partners", [{"name": "B", "email": "b@example.com"}] * 11),
        ("partners", [{"name": "B"}]),
        ("shoeSize", 43),
    ],
)
async def test_a_bad_field_is_named(ada: Client, field: str, value: Any) -> None:
    """And nothing is kept."""
    answer = await ada.post("/v1/onboarding", CHECKED | {field: value})
    assert (answer.status, answer.error["code"]) == (400, "invalid_fields")
    assert [name.partition("[")[0] for name in answer.error["fields"]] == [field]
    assert (await ada.get("/v1/profile")).status == 404


async def test_all_that_is_missing_is_named_at_once(ada: Client) -> None:
    """By the names that the client uses."""
    answer = await ada.post("/v1/onboarding", {})
    assert set(answer.error["fields"]) == set(CHECKED)


async def test_the_age_is_counted_where_the_person_is(service: Running) -> None:
    """Fault 13: at noon in UTC it is tomorrow on Kiritimati, and a birthday there."""
    here = await service.person(timezone="Pacific/Kiritimati")
    there = await service.person(timezone="UTC")
    young = CHECKED | {"dateOfBirth": "2013-11-19"}
    assert (await here.post("/v1/onboarding", young)).status == 201
    assert (await there.post("/v1/onboarding", young)).status == 400


async def test_repeating_it_is_an_update(ada: Client) -> None:
    """Of all fields; what is the same leaves no trace."""
    partner = {"name": "Bob", "email": "bob@example.com"}
    await onboarded(ada, partners=[partner], allergies=["nuts"])
    await onboarded(ada, partners=[partner], allergies=["nuts"])
    assert (await ada.get("/v1/profile/audit")).data["pagination"]["total"] == 0
    await onboarded(ada, currentWeight=80)
    profile = (await ada.get("/v1/profile")).data
    assert profile["health"]["currentWeight"] == 80
    assert (profile["preferences"]["partners"], profile["preferences"]["allergies"]) == ([], [])
    audit = (await ada.get("/v1/profile/audit")).data["changes"]
    assert {change["field"] for change in audit} == {
        "health.currentWeight",
        "preferences.allergies",
        "preferences.partners",
    }


async def test_it_takes_a_key_to_be_safe_to_repeat(ada: Client) -> None:
    """The first answer is replayed."""
    headers = {"Idempotency-Key": "onboarding-1"}
    first = await ada.post("/v1/onboarding", CHECKED, headers=headers)
    again = await ada.post("/v1/onboarding", CHECKED, headers=headers)
    assert (again.status, again.body) == (201, first.body)
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_parallel_onboardings_leave_one_whole_profile(ada: Client) -> None:
    """The last one counts with all of its fields, and all succeed (fault 11)."""
    answers = await asyncio.gather(
        *(
            ada.post(
                "/v1/onboarding",
                CHECKED
                | {"currentWeight": 80 + n, "targetWeight": 60 + n}
                | {"partners": [{"name": f"{n}", "phone": "+4930123456"}] * n},
            )
            for n in range(6)
        )
    )
    assert [answer.status for answer in answers] == [201] * 6
    profile = (await ada.get("/v1/profile")).data
    number = round(profile["health"]["currentWeight"] - 80)
    assert profile["goals"]["targetWeight"] == 60 + number
    assert len(profile["preferences"]["partners"]) == number


def _random_body(chance: random.Random) -> dict[str, Any]:
    """Anything that onboarding takes, the ends of each range more often than their length says."""

    def number(low: float, high: float) -> float:
        return chance.choice([low, high, round(chance.uniform(low, high), chance.randrange(5))])

    age = timedelta(days=chance.choice([4749, 44_194, chance.randint(4749, 44_194)]))
    ahead = timedelta(days=chance.choice([1, 27_000, chance.randint(1, 27_000)]))
    return {
        "dateOfBirth": str(TODAY - age),
        "gender": chance.choice(get_args(Gender)),
        "primaryGoal": chance.choice(get_args(Goal)),
        "activityLevel": chance.choice(get_args(ActivityLevel)),
        "currentWeight": number(30, 300),
        "targetWeight": number(30, 300),
        "height": number(100, 250),
        "targetDate": str(TODAY + ahead),
        "mealsPerDay": chance.randint(1, 10),
        "allergies": ["🥜" * chance.randint(1, 50)] * chance.randint(0, 20),
    }


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_onboarding_takes_makes_a_plan_with_its_numbers(
    ada: Client, seed: int
) -> None:
    """Fault 14: fifteen people each, through all of the service and its schema."""
    chance = random.Random(seed)
    for _ in range(15):
        body = _random_body(chance)
        assert (await ada.post("/v1/onboarding", body)).status == 201, body
        made = await ada.post("/v1/plans/generate", {"forceRecompute": True})
        assert made.status == 201, body
        assert made.data["targets"] == (await ada.get("/v1/profile")).data["targets"]
        tomorrow = (await ada.get("/v1/tasks?from=2026-11-19&to=2026-11-19&type=meal")).data
        calories = sum(task["metadata"]["calories"] for task in tomorrow["tasks"])
        assert len(tomorrow["tasks"]) == body["mealsPerDay"]
        assert calories == made.data["targets"]["calories"]


async def test_requests_that_outlive_their_account_are_refused(
    service: Running, ada: Client
) -> None:
    """Their token was checked a moment ago; neither a crash nor half an answer comes of it."""
    await planned(ada)
    seen = (await ada.get("/v1/profile/metrics/today")).data
    # Behind the cache's back, which still knows the account.
    drop = Query("test_drop", "DELETE FROM users WHERE id = %(user_id)s")
    await service.deps.postgres.execute(drop, user_id=ada.user["id"])
    words = {name: seen[name] for name in ("version", "metricsComputedAt")}
    answers = [
        await ada.post("/v1/onboarding", CHECKED),
        await ada.patch("/v1/profile", {"health": {"currentWeight": 80}}),
        await ada.post("/v1/plans/generate", {}),
        await ada.post("/v1/profile/metrics/acknowledge", words),
        await ada.get("/auth/me/export"),
        await ada.get("/v1/profile"),
        await ada.get("/v1/plans/current"),
    ]
    assert [answer.status for answer in answers] == [401] * 5 + [404] * 2


async def test_a_profile_is_nobody_elses(service: Running, ada: Client) -> None:
    """Whoever has none gets 404 from every route that shows one."""
    await onboarded(ada)
    eve = await service.person()
    for path in (
        "/v1/profile",
        "/v1/auth/profile",
        "/v1/summary/how-it-works",
        "/v1/profile/metrics/today",
        "/v1/plans/current",
    ):
        assert (await eve.get(path)).status == 404, path
    assert (await eve.patch("/v1/profile", {"health": {"currentWeight": 70}})).status == 404
    assert (await eve.get("/v1/profile/audit")).data["pagination"]["total"] == 0
    assert (await eve.post("/v1/plans/generate", {})).error["code"] == "not_onboarded"
