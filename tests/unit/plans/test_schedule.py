"""What a week asks for: whole, bounded and always the same."""

from __future__ import annotations

from collections import Counter
from datetime import date, time
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtsd.plans import schedule
from gtsd.plans.formulas import ActivityLevel, Body, Goal, targets
from gtsd.plans.schedule import Slot, slots
from gtsd.tasks.types import Priority, TaskType
from tests.unit.plans.people import BODIES, CHECKED, DAYS, TODAY

MEALS = st.integers(1, 10)


def week(body: Body, meals: int, today: date = TODAY) -> list[Slot]:
    """All that somebody is asked for in a week."""
    return slots(body.primary_goal, body.activity_level, meals, targets(body, today))


@given(BODIES, MEALS, DAYS)
def test_every_task_is_one_that_the_schema_takes(body: Body, meals: int, today: date) -> None:
    """Fault 14: for everybody whom onboarding takes, on any later day."""
    made = week(body, meals, today)
    assert max(Counter(slot.key for slot in made).values()) == 1
    for slot in made:
        assert slot.type in get_args(TaskType)
        assert slot.priority in get_args(Priority)
        assert 1 <= len(slot.title) <= 200
        assert slot.due_time > time(0)
        assert slot.days
        assert set(slot.days) <= set(range(1, schedule.DAYS + 1))
        assert len(set(slot.days)) == len(slot.days)


@given(BODIES, MEALS, DAYS)
def test_meals_are_together_what_the_day_aims_at(body: Body, meals: int, today: date) -> None:
    """To the last kcal and g, in order, none much larger than another."""
    numbers = targets(body, today)
    made = [slot for slot in week(body, meals, today) if slot.type == "meal"]
    assert len(made) == meals
    for name, whole in (("calories", numbers.calories), ("proteinG", numbers.protein)):
        shares = [slot.metadata[name] for slot in made]
        assert sum(shares) == whole
        assert max(shares) - min(shares) <= 1
    times = [slot.due_time for slot in made]
    assert times == sorted(set(times))


@given(BODIES, MEALS)
def test_the_same_person_is_asked_for_the_same(body: Body, meals: int) -> None:
    """A plan is no game of chance."""
    assert week(body, meals) == week(body, meals)


@given(BODIES, MEALS)
def test_every_day_asks_for_meals_and_water(body: Body, meals: int) -> None:
    """And every week for training and for the weight, whatever the goal."""
    made = week(body, meals)
    daily = {slot.type for slot in made if len(slot.days) == schedule.DAYS}
    assert {"meal", "hydration"} <= daily
    assert {"workout", "cardio", "weight_log"} <= {slot.type for slot in made}


def test_the_more_active_train_more_often_and_longer() -> None:
    """From level to level."""
    numbers = targets(CHECKED, TODAY)
    trainings = []
    for level in get_args(ActivityLevel):
        (slot,) = (s for s in slots("maintain", level, 3, numbers) if s.key == "workout")
        trainings.append((len(slot.days), slot.metadata["minutes"]))
    assert trainings == sorted(set(trainings))


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        ("lose_weight", {"cardio": 3, "weight_log": 2, "progress_photo": 1}),
        ("gain_muscle", {"cardio": 1, "weight_log": 2, "progress_photo": 1}),
        ("maintain", {"cardio": 2, "weight_log": 1}),
        ("improve_health", {"cardio": 4, "weight_log": 1}),
    ],
)
def test_the_goal_decides_what_a_week_is_made_of(goal: Goal, expected: dict[str, int]) -> None:
    """How often each type comes that differs between goals."""
    made = slots(goal, "very_active", 3, targets(CHECKED, TODAY))
    found: dict[str, int] = {slot.type: len(slot.days) for slot in made}
    assert {name: found.get(name) for name in expected} == expected
    assert ("progress_photo" in found) == ("progress_photo" in expected)
    assert found["workout"] == 5


def test_meals_have_their_names_where_there_are_three() -> None:
    """And numbers where there are more or fewer."""
    titles = [slot.title for slot in week(CHECKED, 3) if slot.type == "meal"]
    assert [title.partition(":")[0] for title in titles] == ["Breakfast", "Lunch", "Dinner"]
    assert titles[0] == "Breakfast: 854 kcal, 63 g protein"
    (only,) = (slot for slot in week(CHECKED, 1) if slot.type == "meal")
    assert (only.title, only.due_time) == ("Meal 1 of 1: 2560 kcal, 188 g protein", time(12, 30))
