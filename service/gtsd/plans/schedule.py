"""What a plan asks for on which day of the week: the same for the same person, always.

A slot is one task a day at most, told apart by its key. Every slot has a time of day, so that a
plan that is made in the afternoon asks for nothing that would have been due in the morning.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import time
from typing import Any, Final, NamedTuple

from gtsd.plans.formulas import ActivityLevel, Goal, Targets
from gtsd.tasks.types import Priority, TaskType

DAYS: Final = 7
_DAILY: Final = (1, 2, 3, 4, 5, 6, 7)
# Days of the week, Monday is 1, and how long a training takes.
_WORKOUTS: Final[dict[ActivityLevel, tuple[int, ...]]] = {
    "sedentary": (2, 5),
    "lightly_active": (1, 3, 5),
    "moderately_active": (1, 2, 4, 5),
    "very_active": (1, 2, 3, 5, 6),
    "extremely_active": (1, 2, 3, 4, 5, 6),
}
_MINUTES: Final[dict[ActivityLevel, int]] = {
    "sedentary": 20,
    "lightly_active": 30,
    "moderately_active": 40,
    "very_active": 50,
    "extremely_active": 60,
}
_WORKOUT_TITLES: Final[dict[Goal, str]] = {
    "lose_weight": "Strength and mobility",
    "gain_muscle": "Strength training",
    "maintain": "Strength and mobility",
    "improve_health": "Gentle strength training",
}
_CARDIO: Final[dict[Goal, tuple[int, ...]]] = {
    "lose_weight": (2, 4, 6),
    "gain_muscle": (3,),
    "maintain": (3, 6),
    "improve_health": (1, 3, 5, 7),
}
_WEIGHINGS: Final[dict[Goal, tuple[int, ...]]] = {
    "lose_weight": (1, 4),
    "gain_muscle": (1, 4),
    "maintain": (1,),
    "improve_health": (1,),
}
_PHOTOS: Final[dict[Goal, tuple[int, ...]]] = {
    "lose_weight": (7,),
    "gain_muscle": (7,),
    "maintain": (),
    "improve_health": (),
}
_FIRST_MEAL: Final = 7 * 60 + 30
_LAST_MEAL: Final = 20 * 60
_ONLY_MEAL: Final = 12 * 60 + 30
_NAMED_MEALS: Final = ("Breakfast", "Lunch", "Dinner")


class Slot(NamedTuple):
    """A task on some days of the week; ``days`` are ISO weekdays."""

    key: str
    type: TaskType
    title: str
    due_time: time
    priority: Priority
    days: tuple[int, ...]
    metadata: dict[str, Any]


def slots(goal: Goal, level: ActivityLevel, meals: int, targets: Targets) -> list[Slot]:
    """A week for somebody with this goal and level, who eats so many meals a day (1 to 10)."""
    return [slot for slot in _all(goal, level, meals, targets) if slot.days]


def _all(goal: Goal, level: ActivityLevel, meals: int, targets: Targets) -> Iterator[Slot]:
    minutes = _MINUTES[level]
    yield Slot("weight", "weight_log", "Log your weight", time(7), "medium", _WEIGHINGS[goal], {})
    yield from _meals(meals, targets)
    yield Slot(
        "photo", "progress_photo", "Take a progress photo", time(9), "low", _PHOTOS[goal], {}
    )
    yield Slot(
        "cardio",
        "cardio",
        f"{minutes} minutes of cardio",
        time(17),
        "medium",
        _CARDIO[goal],
        {"minutes": minutes},
    )
    yield Slot(
        "workout",
        "workout",
        f"{_WORKOUT_TITLES[goal]}, {minutes} minutes",
        time(18),
        "high",
        _WORKOUTS[level],
        {"minutes": minutes},
    )
    yield Slot(
        "water",
        "hydration",
        f"Drink {targets.water} ml of water",
        time(21),
        "medium",
        _DAILY,
        {"waterMl": targets.water},
    )


def _meals(count: int, targets: Targets) -> Iterator[Slot]:
    """Meals that together are the day's calories and protein, to the last one of each."""
    shares = zip(_shares(targets.calories, count), _shares(targets.protein, count), strict=True)
    for number, (kcal, protein) in enumerate(shares):
        name = _NAMED_MEALS[number] if count == 3 else f"Meal {number + 1} of {count}"
        yield Slot(
            f"meal_{number + 1}",
            "meal",
            f"{name}: {kcal} kcal, {protein} g protein",
            _meal_time(number, count),
            "medium",
            _DAILY,
            {"calories": kcal, "proteinG": protein},
        )


def _shares(whole: int, parts: int) -> list[int]:
    share, left = divmod(whole, parts)
    return [share + (number < left) for number in range(parts)]


def _meal_time(number: int, count: int) -> time:
    """Spread evenly from the first to the last, to five minutes."""
    if count == 1:
        return time(*divmod(_ONLY_MEAL, 60))
    minutes = _FIRST_MEAL + (_LAST_MEAL - _FIRST_MEAL) * number // (count - 1)
    return time(*divmod(minutes - minutes % 5, 60))
