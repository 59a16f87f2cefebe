"""Every number that is computed from a body, each in this one place.

The arithmetic is exact, in fractions: binary floating point would round some halves down. Halves
go up, ``floor(x + 0.5)``. Resting energy is after Mifflin, St Jeor and others, "A new predictive
equation for resting energy expenditure in healthy individuals", Am J Clin Nutr 1990;51:241-7; for
``other`` the term is the mean of the two that the study gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from typing import Final, Literal

Gender = Literal["male", "female", "other"]
Goal = Literal["lose_weight", "gain_muscle", "maintain", "improve_health"]
ActivityLevel = Literal[
    "sedentary", "lightly_active", "moderately_active", "very_active", "extremely_active"
]

GENDER_TERM: Final[dict[Gender, int]] = {"male": 5, "female": -161, "other": -78}
ACTIVITY_FACTOR: Final[dict[ActivityLevel, Decimal]] = {
    "sedentary": Decimal("1.2"),
    "lightly_active": Decimal("1.375"),
    "moderately_active": Decimal("1.55"),
    "very_active": Decimal("1.725"),
    "extremely_active": Decimal("1.9"),
}
# kcal a day, on top of what is spent.
CALORIE_SHIFT: Final[dict[Goal, int]] = {
    "lose_weight": -500,
    "gain_muscle": 400,
    "maintain": 0,
    "improve_health": 0,
}
LEAST_CALORIES: Final = 1200
PROTEIN_G_PER_KG: Final[dict[Goal, Decimal]] = {
    "lose_weight": Decimal("2.2"),
    "gain_muscle": Decimal("2.4"),
    "maintain": Decimal("1.8"),
    "improve_health": Decimal("1.8"),
}
WATER_ML_PER_KG: Final = 35
# kg a week, towards what the calories lead to.
WEEKLY_RATE: Final[dict[Goal, Decimal]] = {
    "lose_weight": Decimal("-0.5"),
    "gain_muscle": Decimal("0.4"),
    "maintain": Decimal(0),
    "improve_health": Decimal(0),
}


@dataclass(frozen=True, slots=True)
class Body:
    """Whose numbers: kg and cm, with up to two decimals."""

    date_of_birth: date
    gender: Gender
    height: Decimal
    weight: Decimal
    target_weight: Decimal
    activity_level: ActivityLevel
    primary_goal: Goal


@dataclass(frozen=True, slots=True)
class Targets:
    """What the numbers say: kcal, g and ml a day; kg a week; ``weeks`` until the target weight."""

    bmi: float
    bmr: int
    tdee: int
    calories: int
    protein: int
    water: int
    weekly_rate: float
    weeks: int | None


def targets(body: Body, today: date) -> Targets:
    """All of them, on a day where the person is."""
    bmr = basal_rate(body.weight, body.height, age(body.date_of_birth, today), body.gender)
    tdee = daily_expenditure(bmr, body.activity_level)
    rate = WEEKLY_RATE[body.primary_goal]
    return Targets(
        bmi=body_mass_index(body.weight, body.height),
        bmr=bmr,
        tdee=tdee,
        calories=calories(tdee, body.primary_goal),
        protein=protein(body.weight, body.primary_goal),
        water=water(body.weight),
        weekly_rate=float(rate),
        weeks=weeks(body.weight, body.target_weight, rate),
    )


def age(born: date, today: date) -> int:
    """Whole years; whoever was born on 29 February grows older on 1 March of other years."""
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def basal_rate(weight: Decimal, height: Decimal, years: int, gender: Gender) -> int:
    """kcal a day at rest: 10 w + 6.25 h - 5 a + s."""
    return _half_up(
        10 * Fraction(weight)
        + Fraction("6.25") * Fraction(height)
        - 5 * years
        + GENDER_TERM[gender]
    )


def daily_expenditure(bmr: int, level: ActivityLevel) -> int:
    """kcal a day as one lives."""
    return _half_up(bmr * Fraction(ACTIVITY_FACTOR[level]))


def calories(tdee: int, goal: Goal) -> int:
    """kcal a day to eat, never under 1200."""
    return max(LEAST_CALORIES, tdee + CALORIE_SHIFT[goal])


def protein(weight: Decimal, goal: Goal) -> int:
    """g a day."""
    return _half_up(Fraction(weight) * Fraction(PROTEIN_G_PER_KG[goal]))


def water(weight: Decimal) -> int:
    """ml a day, in hundreds."""
    return _half_up(WATER_ML_PER_KG * Fraction(weight) / 100) * 100


def body_mass_index(weight: Decimal, height: Decimal) -> float:
    """kg/m² with two decimals."""
    metres = Fraction(height) / 100
    return _half_up(Fraction(weight) / metres**2 * 100) / 100


def weeks(weight: Decimal, target: Decimal, rate: Decimal) -> int | None:
    """Weeks to the target weight; None where the rate is 0 or leads away from it."""
    way = Fraction(target) - Fraction(weight)
    if rate == 0 or way * Fraction(rate) < 0:
        return None
    return ceil(abs(way) / abs(Fraction(rate)))


def _half_up(number: Fraction) -> int:
    return floor(number + Fraction(1, 2))
