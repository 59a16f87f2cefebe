"""The numbers of today, in words, and that they were seen."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from gtsd.clock import FixedClock
from tests.api.conftest import Running
from tests.api.profile.bodies import back, onboarded
from tests.support.client import Client

TODAY, SEEN = "/v1/profile/metrics/today", "/v1/profile/metrics/acknowledge"


def _named(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: metrics[name] for name in ("version", "metricsComputedAt")}


async def test_the_numbers_are_those_of_the_contract(ada: Client) -> None:
    """And the same by each of the three ways to them."""
    await onboarded(ada)
    today = (await ada.get(TODAY)).data
    assert (today["date"], today["version"], today["acknowledged"]) == ("2026-11-18", 1, False)
    assert today["metrics"] == {
        "bmi": 27.93,
        "bmr": 1774,
        "tdee": 3060,
        "calories": 2560,
        "protein": 188,
        "water": 3000,
        "weeklyRate": -0.5,
        "weeks": 16,
    }
    told = (await ada.get("/v1/summary/how-it-works")).data["numbers"]
    assert {number["name"]: number["value"] for number in told} == today["metrics"]
    profile = (await ada.get("/v1/profile")).data
    assert profile["targets"] | {"bmi": profile["health"]["bmi"]} == today["metrics"]


async def test_every_number_is_explained(ada: Client) -> None:
    """With the general formula and with one's own values."""
    await onboarded(ada)
    numbers = (await ada.get("/v1/summary/how-it-works")).data["numbers"]
    bmr = next(number for number in numbers if number["name"] == "bmr")
    assert bmr["calculation"] == "10 × 85.55 + 6.25 × 175.00 - 5 × 36 + 5"
    assert bmr["formula"].startswith("10 × weight + 6.25 × height - 5 × age + s")
    for number in numbers:
        assert all(number[name] for name in ("unit", "formula", "calculation", "explanation"))
    await ada.patch("/v1/profile", {"goals": {"primaryGoal": "maintain"}})
    numbers = (await ada.get("/v1/summary/how-it-works")).data["numbers"]
    assert numbers[-1]["value"] is None


async def test_numbers_are_seen_once(ada: Client) -> None:
    """However often one says so, the first time counts."""
    await onboarded(ada)
    words = _named((await ada.get(TODAY)).data)
    first = await ada.post(SEEN, words)
    assert (first.status, _named(first.data)) == (200, words)
    again = await asyncio.gather(*(ada.post(SEEN, words) for _ in range(5)))
    assert {(answer.status, answer.body) for answer in again} == {(200, first.body)}
    today = (await ada.get(TODAY)).data
    assert (today["acknowledged"], today["acknowledgedAt"]) == (
        True,
        first.data["acknowledgedAt"],
    )
    offset = words | {"metricsComputedAt": "2026-11-18T13:00:00.000+01:00"}
    assert (await ada.post(SEEN, offset)).body == first.body


async def test_other_numbers_have_not_been_seen(ada: Client, clock: FixedClock) -> None:
    """A change of what they are computed from makes a new version, any other does not."""
    await onboarded(ada)
    old = _named((await ada.get(TODAY)).data)
    first = await ada.post(SEEN, old)
    clock.move(timedelta(minutes=1))
    await ada.patch("/v1/profile", {"preferences": {"mealsPerDay": 5}})
    assert (await ada.get(TODAY)).data["acknowledged"] is True
    await ada.patch("/v1/profile", {"health": {"currentWeight": 80}})
    today = (await ada.get(TODAY)).data
    assert (today["version"], today["metricsComputedAt"], today["acknowledged"]) == (
        2,
        "2026-11-18T12:01:00.000Z",
        False,
    )
    assert (await ada.post(SEEN, old)).body == first.body
    assert (await ada.get(TODAY)).data["acknowledged"] is False
    mixed = await ada.post(SEEN, {**_named(today), "version": 1})
    assert (mixed.status, mixed.error["code"]) == (409, "metrics_changed")
    assert (await ada.post(SEEN, _named(today))).status == 200
    assert (await ada.get(TODAY)).data["acknowledged"] is True


async def test_a_birthday_counts_at_once(service: Running, clock: FixedClock) -> None:
    """The numbers are of today, not of the day when the profile was told."""
    ada = await onboarded(await service.person(), dateOfBirth="1990-11-19")
    before = (await ada.get(TODAY)).data["metrics"]["bmr"]
    clock.move(timedelta(days=1))
    ada = await back(ada)
    assert (await ada.get(TODAY)).data["metrics"]["bmr"] == before - 5


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ({"version": 0}, "version"),
        ({"version": 2**31}, "version"),
        ({"version": "1"}, "version"),
        ({"metricsComputedAt": "yesterday"}, "metricsComputedAt"),
        ({"metricsComputedAt": "2026-11-18T12:00:00"}, "metricsComputedAt"),
        ({"seen": True}, "seen"),
    ],
)
async def test_bad_words_are_named(ada: Client, words: dict[str, Any], named: str) -> None:
    """And nothing is noted."""
    await onboarded(ada)
    right = _named((await ada.get(TODAY)).data)
    answer = await ada.post(SEEN, right | words)
    assert (answer.status, list(answer.error["fields"])) == (400, [named])
    assert (await ada.get(TODAY)).data["acknowledged"] is False


async def test_other_peoples_numbers_are_not_mine(service: Running, ada: Client) -> None:
    """Whoever has none, or names a moment of somebody else, is refused."""
    await onboarded(ada)
    words = _named((await ada.get(TODAY)).data)
    eve = await service.person()
    assert (await eve.post(SEEN, words)).status == 409
