"""Each number in words and with one's own values; the constants are those that it is made from."""

from __future__ import annotations

from datetime import date
from typing import Final

from gtsd.plans import formulas as f
from gtsd.profile.types import Explained

_CALORIES: Final = (
    f"TDEE {f.CALORIE_SHIFT['lose_weight']} to lose weight, "
    f"TDEE +{f.CALORIE_SHIFT['gain_muscle']} to gain muscle, else TDEE; "
    f"never under {f.LEAST_CALORIES}"
)
_PROTEIN: Final = (
    f"weight × {f.PROTEIN_G_PER_KG['lose_weight']} to lose weight, "
    f"× {f.PROTEIN_G_PER_KG['gain_muscle']} to gain muscle, "
    f"else × {f.PROTEIN_G_PER_KG['maintain']}"
)
_RATE: Final = (
    f"{f.WEEKLY_RATE['lose_weight']} to lose weight, "
    f"+{f.WEEKLY_RATE['gain_muscle']} to gain muscle, else 0"
)


def explain(body: f.Body, today: date) -> list[Explained]:
    """All numbers of a body, in the order in which one follows from the other."""
    numbers = f.targets(body, today)
    years = f.age(body.date_of_birth, today)
    term = f.GENDER_TERM[body.gender]
    factor, goal = f.ACTIVITY_FACTOR[body.activity_level], body.primary_goal
    rate, way = f.WEEKLY_RATE[goal], abs(body.target_weight - body.weight)
    return [
        Explained(
            name="bmi",
            value=numbers.bmi,
            unit="kg/m²",
            formula="weight / (height / 100)²",
            calculation=f"{body.weight} / ({body.height} / 100)²",
            explanation="Weight in relation to height; it says nothing of muscle and fat.",
        ),
        Explained(
            name="bmr",
            value=numbers.bmr,
            unit="kcal/day",
            formula="10 × weight + 6.25 × height - 5 × age + s; s = "
            + ", ".join(f"{number} {gender}" for gender, number in f.GENDER_TERM.items()),
            calculation=f"10 × {body.weight} + 6.25 × {body.height} - 5 × {years} + {term}",
            explanation="What the body spends at rest, after Mifflin and St Jeor.",
        ),
        Explained(
            name="tdee",
            value=numbers.tdee,
            unit="kcal/day",
            formula="BMR × m; m = "
            + ", ".join(f"{number} {level}" for level, number in f.ACTIVITY_FACTOR.items()),
            calculation=f"{numbers.bmr} × {factor}",
            explanation="What the body spends as active as you are.",
        ),
        Explained(
            name="calories",
            value=numbers.calories,
            unit="kcal/day",
            formula=_CALORIES,
            calculation=f"max({f.LEAST_CALORIES}, {numbers.tdee} + {f.CALORIE_SHIFT[goal]})",
            explanation="What to eat to get where you want to be.",
        ),
        Explained(
            name="protein",
            value=numbers.protein,
            unit="g/day",
            formula=_PROTEIN,
            calculation=f"{body.weight} × {f.PROTEIN_G_PER_KG[goal]}",
            explanation="Keeps muscles while weight goes, and builds them.",
        ),
        Explained(
            name="water",
            value=numbers.water,
            unit="ml/day",
            formula=f"{f.WATER_ML_PER_KG} × weight, in hundreds",
            calculation=f"{f.WATER_ML_PER_KG} × {body.weight}",
            explanation="What to drink.",
        ),
        Explained(
            name="weeklyRate",
            value=numbers.weekly_rate,
            unit="kg/week",
            formula=_RATE,
            calculation=str(rate),
            explanation="What your weight should do.",
        ),
        Explained(
            name="weeks",
            value=numbers.weeks,
            unit="weeks",
            formula="|target weight - weight| / |weekly rate|, rounded up",
            calculation="none: the goal does not lead to the target weight"
            if numbers.weeks is None
            else f"{way} / {abs(rate)}",
            explanation="How long it takes to your target weight.",
        ),
    ]
