"""The numbers: against a second hand-made reckoning in whole numbers, over all that is accepted."""

from __future__ import annotations

from dataclasses import astuple, replace
from datetime import date
from decimal import Decimal
from math import floor

import pytest
from hypothesis import given

from gtsd.plans import formulas as f
from gtsd.plans.formulas import Body, targets
from tests.unit.plans.people import BODIES, CHECKED, DAYS, TODAY, WEIGHTS

# Tables of this test, as the contract has them: in thousandths, kcal, tenths of g and of kg.
TERM = {"male": 5, "female": -161, "other": -78}
FACTOR = dict(zip(f.ACTIVITY_FACTOR, (1200, 1375, 1550, 1725, 1900), strict=True))
SHIFT = {"lose_weight": -500, "gain_muscle": 400}
PROTEIN = {"lose_weight": 22, "gain_muscle": 24}
RATE = {"lose_weight": -5, "gain_muscle": 4}


def rounded(above: int, below: int) -> int:
    """A fraction, rounded half up, in whole numbers alone."""
    return (2 * above + below) // (2 * below)


def reckoned(body: Body, today: date) -> tuple[object, ...]:
    """The same numbers, with weight and height in hundredths."""
    w, h, target = (int(x * 100) for x in (body.weight, body.height, body.target_weight))
    years = today.year - body.date_of_birth.year
    if (today.month, today.day) < (body.date_of_birth.month, body.date_of_birth.day):
        years -= 1
    bmr = rounded(40 * w + 25 * h - 2000 * years + 400 * TERM[body.gender], 400)
    tdee = rounded(bmr * FACTOR[body.activity_level], 1000)
    rate, way = RATE.get(body.primary_goal, 0), target - w
    weeks = None if rate == 0 or way * rate < 0 else -(-abs(way) // (10 * abs(rate)))
    return (
        rounded(w * 10**8, h * h) / 100,
        bmr,
        tdee,
        max(1200, tdee + SHIFT.get(body.primary_goal, 0)),
        rounded(w * PROTEIN.get(body.primary_goal, 18), 1000),
        rounded(35 * w, 10_000) * 100,
        rate / 10,
        weeks,
    )


def test_the_checked_person_has_the_numbers_of_the_contract() -> None:
    """Male, 36, 85.55 kg, 175 cm, very active, to lose weight."""
    numbers = targets(CHECKED, TODAY)
    assert (numbers.bmr, numbers.tdee, numbers.calories) == (1774, 3060, 2560)
    assert (numbers.protein, numbers.water, numbers.bmi) == (188, 3000, 27.93)
    assert (numbers.weekly_rate, numbers.weeks) == (-0.5, 16)


@given(BODIES, DAYS)
def test_every_number_is_the_one_reckoned_in_whole_numbers(body: Body, today: date) -> None:
    """For everybody whom onboarding takes, and as old as they may grow."""
    assert astuple(targets(body, today)) == reckoned(body, today)


@given(BODIES, DAYS)
def test_no_number_leaves_its_bounds(body: Body, today: date) -> None:
    """Nobody starves, and every number is one that a person and the schema can take."""
    numbers = targets(body, today)
    assert numbers.calories >= f.LEAST_CALORIES
    assert numbers.calories < 10_000
    assert -1000 < numbers.bmr < 5000
    assert 54 <= numbers.protein <= 720
    assert 1100 <= numbers.water <= 10_500
    assert numbers.water % 100 == 0
    assert 4 < numbers.bmi <= 300
    assert numbers.weeks is None or 0 <= numbers.weeks <= 675


@given(BODIES, DAYS)
def test_the_same_person_has_the_same_numbers(body: Body, today: date) -> None:
    """Whatever was computed before."""
    assert targets(body, today) == targets(replace(body), today)


@given(BODIES, WEIGHTS)
def test_whoever_weighs_more_needs_no_less(body: Body, weight: Decimal) -> None:
    """Energy, protein and water grow with the weight."""
    light, heavy = sorted((body.weight, weight))
    less, more = (targets(replace(body, weight=w), TODAY) for w in (light, heavy))
    assert less.bmr <= more.bmr
    assert less.calories <= more.calories
    assert less.protein <= more.protein
    assert less.water <= more.water


@pytest.mark.parametrize(
    ("goal", "target", "weeks"),
    [
        ("lose_weight", "85.55", 0),
        ("lose_weight", "85.54", 1),
        ("lose_weight", "85.05", 1),
        ("lose_weight", "85.04", 2),
        ("lose_weight", "85.56", None),
        ("gain_muscle", "85.95", 1),
        ("gain_muscle", "85.96", 2),
        ("gain_muscle", "85.54", None),
        ("maintain", "80", None),
        ("improve_health", "80", None),
    ],
)
def test_weeks_lead_to_the_target_or_are_none(goal: f.Goal, target: str, weeks: int | None) -> None:
    """A week begun is a week; none where the goal leads away from it."""
    body = replace(CHECKED, primary_goal=goal, target_weight=Decimal(target))
    assert targets(body, TODAY).weeks == weeks


@pytest.mark.parametrize(
    ("born", "today", "years"),
    [
        (date(1990, 11, 18), date(2026, 11, 18), 36),
        (date(1990, 11, 19), date(2026, 11, 18), 35),
        (date(2000, 2, 29), date(2026, 2, 28), 25),
        (date(2000, 2, 29), date(2026, 3, 1), 26),
        (date(2000, 2, 29), date(2028, 2, 28), 27),
        (date(2000, 2, 29), date(2028, 2, 29), 28),
    ],
)
def test_the_age_is_exact(born: date, today: date, years: int) -> None:
    """One grows older on one's birthday, on 1 March where there is no 29 February."""
    assert f.age(born, today) == years


def test_halves_are_rounded_up_where_binary_numbers_would_round_down() -> None:
    """The control: the same formula in floating point loses a hundredth."""
    assert f.body_mass_index(Decimal(296), Decimal(160)) == 115.63
    assert floor(296 / (160 / 100) ** 2 * 100 + 0.5) / 100 == 115.62
