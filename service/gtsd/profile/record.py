"""A profile as it is kept, what a client's words make of it, and what differs between two."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

import msgspec
from msgspec import UNSET

from gtsd.plans.formulas import ActivityLevel, Body, Gender, Goal, age
from gtsd.profile.types import Onboarding, Partner, ProfileChange

_CENT: Final = Decimal("0.01")
_AGES: Final = range(13, 121)
# Where clients find each field.
PATHS: Final = {
    "date_of_birth": "demographics.dateOfBirth",
    "gender": "demographics.gender",
    "height": "demographics.height",
    "weight": "health.currentWeight",
    "activity_level": "health.activityLevel",
    "primary_goal": "goals.primaryGoal",
    "target_weight": "goals.targetWeight",
    "target_date": "goals.targetDate",
    "dietary_preferences": "preferences.dietaryPreferences",
    "allergies": "preferences.allergies",
    "meals_per_day": "preferences.mealsPerDay",
    "partners": "preferences.partners",
}


class Record(msgspec.Struct, frozen=True):
    """One person's profile; kg and cm with two decimals."""

    date_of_birth: date
    gender: Gender
    height: Decimal
    weight: Decimal
    activity_level: ActivityLevel
    primary_goal: Goal
    target_weight: Decimal
    target_date: date
    dietary_preferences: list[str]
    allergies: list[str]
    meals_per_day: int
    partners: list[Partner]

    @property
    def body(self) -> Body:
        """What numbers are computed from."""
        names = Body.__dataclass_fields__
        return Body(**{name: getattr(self, name) for name in names})


class Difference(msgspec.Struct, frozen=True):
    """A field of the record that changed."""

    name: str
    before: Any
    after: Any

    @property
    def moves_metrics(self) -> bool:
        """Whether numbers may be others now."""
        return self.name in Body.__dataclass_fields__


def given(words: Onboarding | ProfileChange) -> dict[str, Any]:
    """The fields that a client gave, by their names in the record."""
    if isinstance(words, Onboarding):
        values = _values(words)
    else:
        values = {}
        for group in (words.demographics, words.health, words.goals, words.preferences):
            values |= _values(group)
    if "current_weight" in values:
        values["weight"] = values.pop("current_weight")
    for name in {"weight", "height", "target_weight"} & set(values):
        values[name] = Decimal(repr(values[name])).quantize(_CENT, ROUND_HALF_UP)
    return values


def problems(values: Mapping[str, Any], today: date) -> dict[str, str]:
    """What is wrong with given fields on a day, by their names in the record."""
    found = {}
    if "date_of_birth" in values and age(values["date_of_birth"], today) not in _AGES:
        found["date_of_birth"] = "must be a day on which somebody of 13 to 120 years was born"
    if "target_date" in values and values["target_date"] <= today:
        found["target_date"] = f"must be after today, {today}"
    return found


def differences(before: Record, after: Record) -> list[Difference]:
    """Every field that changed."""
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in PATHS)
    return [Difference(name, old, new) for name, old, new in pairs if old != new]


def shown(value: Any) -> Any:
    """A value of a record as it is in JSON."""
    return float(value) if isinstance(value, Decimal) else msgspec.to_builtins(value)


def _values(words: msgspec.Struct) -> dict[str, Any]:
    named = ((name, getattr(words, name)) for name in words.__struct_fields__)
    return {name: value for name, value in named if value is not UNSET}
