"""The profile: its groups, its changes, their audit, and the plan that follows."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.api.conftest import Running
from tests.api.profile.bodies import onboarded, planned
from tests.support.client import Client

PATHS = ("/v1/profile", "/v1/auth/profile")


async def test_the_profile_comes_in_groups(ada: Client) -> None:
    """With the targets of today; by both of its paths."""
    partner = {
        "name": "Bob",
        "email": "bob@example.com",
        "phone": "+4930123456",
        "relationship": "friend",
    }
    await onboarded(ada, partners=[partner], dietaryPreferences=["vegan"])
    profile = (await ada.get("/v1/profile")).data
    assert profile == {
        "demographics": {
            "dateOfBirth": "1990-05-17",
            "age": 36,
            "gender": "male",
            "height": 175,
        },
        "health": {"currentWeight": 85.55, "activityLevel": "very_active", "bmi": 27.93},
        "goals": {"primaryGoal": "lose_weight", "targetWeight": 78, "targetDate": "2027-06-30"},
        "preferences": {
            "dietaryPreferences": ["vegan"],
            "allergies": [],
            "mealsPerDay": 3,
            "partners": [partner],
        },
        "targets": {
            "bmr": 1774,
            "tdee": 3060,
            "calories": 2560,
            "protein": 188,
            "water": 3000,
            "weeklyRate": -0.5,
            "weeks": 16,
        },
    }
    assert (await ada.get("/v1/auth/profile")).data == profile


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_fields_are_changed_one_by_one(ada: Client, method: str, path: str) -> None:
    """Those left out stay; the answer tells all that moved."""
    await onboarded(ada, allergies=["nuts"])
    body = {"health": {"currentWeight": 85}, "preferences": {"mealsPerDay": 5}}
    answer = await ada.call(method, path, body)
    assert answer.status == 200
    assert answer.data["planUpdated"] is False
    moved = {each["field"]: (each["before"], each["after"]) for each in answer.data["changes"]}
    assert moved == {
        "health.currentWeight": (85.55, 85),
        "preferences.mealsPerDay": (3, 5),
        "targets.bmr": (1774, 1769),
        "targets.tdee": (3060, 3052),
        "targets.calories": (2560, 2552),
        "targets.protein": (188, 187),
        "targets.weeks": (16, 14),
    }
    profile = (await ada.get("/v1/profile")).data
    assert {name: answer.data[name] for name in profile} == profile
    assert (profile["preferences"]["allergies"], profile["goals"]["targetWeight"]) == (["nuts"], 78)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"targets": {"calories": 9000}}, "targets"),
        ({"health": {"bmi": 20}}, "health.bmi"),
        ({"health": {"currentWeight": 500}}, "health.currentWeight"),
        ({"goals": {"targetDate": "2026-11-18"}}, "goals.targetDate"),
        ({"goals": {"targetDate": "9999-01-01"}}, "goals.targetDate"),
        ({"demographics": {"dateOfBirth": "2020-01-01"}}, "demographics.dateOfBirth"),
        ({"demographics": {"gender": None}}, "demographics.gender"),
        ({"preferences": {"partners": [{"name": "B"}]}}, "preferences.partners[0].email"),
        ({"currentWeight": 80}, "currentWeight"),
    ],
)
async def test_a_bad_field_is_named(ada: Client, body: dict[str, Any], named: str) -> None:
    """And nothing changes."""
    await onboarded(ada)
    before = (await ada.get("/v1/profile")).data
    answer = await ada.patch("/v1/profile", body)
    assert (answer.status, answer.error["code"]) == (400, "invalid_fields")
    assert list(answer.error["fields"]) == [named]
    assert (await ada.get("/v1/profile")).data == before


@pytest.mark.parametrize(
    ("weight", "is_new"),
    # From 85.55 kg and 2560 kcal: 50 kcal less are no reason, 52 are; nor are 10 g of protein.
    [(82.65, False), (82.55, True), (88.45, False), (88.55, True)],
)
async def test_the_plan_follows_where_targets_move_far_enough(
    ada: Client, weight: float, is_new: bool
) -> None:
    """By more than 50 kcal or 10 g; then there is another plan at once."""
    plan = await planned(ada)
    answer = await ada.patch("/v1/profile", {"health": {"currentWeight": weight}})
    moved = abs(answer.data["targets"]["calories"] - plan["targets"]["calories"])
    assert (moved > 50) is is_new, moved
    assert answer.data["planUpdated"] is is_new
    current = (await ada.get("/v1/plans/current")).data
    assert (current["id"] != plan["id"]) is is_new
    if is_new:
        assert current["targets"] == answer.data["targets"]
        assert current["weight"] == weight


async def test_protein_alone_is_a_reason(ada: Client) -> None:
    """At the least that one may eat, calories stay where they are."""
    small = {"gender": "female", "currentWeight": 40, "height": 120, "activityLevel": "sedentary"}
    plan = await planned(ada, **small, dateOfBirth="1930-01-01")
    answer = await ada.patch("/v1/profile", {"health": {"currentWeight": 45}})
    assert (plan["targets"]["calories"], answer.data["targets"]["calories"]) == (1200, 1200)
    assert answer.data["targets"]["protein"] - plan["targets"]["protein"] == 11
    assert answer.data["planUpdated"] is True


async def test_many_small_changes_are_followed_as_well(ada: Client) -> None:
    """It is the plan that targets are compared with, not the last change."""
    await planned(ada)
    updated = []
    for step in range(1, 5):
        body = {"health": {"currentWeight": 85.55 - step}}
        updated.append((await ada.patch("/v1/profile", body)).data["planUpdated"])
    assert updated == [False, False, True, False]


async def test_without_a_plan_there_is_none_to_follow(ada: Client) -> None:
    """A change makes no plan that nobody asked for; onboarding again makes an old one follow."""
    await onboarded(ada)
    far = {"health": {"currentWeight": 150}}
    assert (await ada.patch("/v1/profile", far)).data["planUpdated"] is False
    assert (await ada.get("/v1/plans/current")).status == 404
    plan = (await ada.post("/v1/plans/generate", {})).data
    await onboarded(ada, currentWeight=85.55)
    assert (await ada.get("/v1/plans/current")).data["id"] != plan["id"]


async def test_a_target_date_that_has_passed_does_not_stop_other_changes(
    service: Running, ada: Client
) -> None:
    """Only a date that is given has to lie ahead."""
    await onboarded(ada, targetDate="2026-11-19")
    await ada.patch("/auth/me", {"timezone": "Pacific/Kiritimati"})
    assert (await ada.patch("/v1/profile", {"health": {"currentWeight": 80}})).status == 200
    assert (await ada.post("/v1/plans/generate", {})).status == 201


async def test_each_changed_field_leaves_its_trace(service: Running, ada: Client) -> None:
    """The newest first, in pages with their true total, and for nobody else."""
    await onboarded(ada)
    await ada.patch("/v1/profile", {"health": {"currentWeight": 85, "activityLevel": "sedentary"}})
    await ada.patch("/v1/profile", {"health": {"currentWeight": 85}})
    await ada.patch("/v1/profile", {"preferences": {"allergies": ["nuts"]}})
    page = (await ada.get("/v1/profile/audit?limit=2")).data
    assert page["pagination"] == {"limit": 2, "offset": 0, "total": 3, "hasMore": True}
    newest = page["changes"][0]
    assert (newest["field"], newest["before"], newest["after"], newest["changedAt"]) == (
        "preferences.allergies",
        [],
        ["nuts"],
        "2026-11-18T12:00:00.000Z",
    )
    rest = (await ada.get("/v1/profile/audit?limit=2&offset=2")).data["changes"]
    assert len({each["id"] for each in [*page["changes"], *rest]}) == 3
    eve = await service.person()
    assert (await eve.get("/v1/profile/audit")).data["changes"] == []
    assert (await ada.get("/v1/profile/audit?limit=0")).status == 400


async def test_parallel_changes_lose_nothing(ada: Client) -> None:
    """Each of another field: all of them are there, with their traces."""
    await planned(ada)
    bodies: list[dict[str, Any]] = [
        {"health": {"currentWeight": 70}},
        {"health": {"activityLevel": "sedentary"}},
        {"goals": {"targetWeight": 60}},
        {"preferences": {"mealsPerDay": 6}},
        {"demographics": {"height": 180}},
    ]
    answers = await asyncio.gather(*(ada.patch("/v1/profile", body) for body in bodies))
    assert {answer.status for answer in answers} == {200}
    profile = (await ada.get("/v1/profile")).data
    for body in bodies:
        for group, fields in body.items():
            assert profile[group] | fields == profile[group]
    assert (await ada.get("/v1/profile/audit")).data["pagination"]["total"] == 5
    plan = (await ada.get("/v1/plans/current")).data
    assert abs(plan["targets"]["calories"] - profile["targets"]["calories"]) <= 50


async def test_an_unchanged_profile_is_not_sent_again(ada: Client) -> None:
    """304 for the same ETag, 200 after a change."""
    await onboarded(ada)
    tag = {"If-None-Match": (await ada.get("/v1/profile")).headers["ETag"]}
    assert (await ada.get("/v1/profile", headers=tag)).status == 304
    await ada.patch("/v1/profile", {"health": {"currentWeight": 80}})
    assert (await ada.get("/v1/profile", headers=tag)).status == 200
