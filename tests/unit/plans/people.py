"""Everybody whom onboarding takes."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import get_args

from hypothesis import strategies as st

from gtsd.plans.formulas import ActivityLevel, Body, Gender, Goal, age

TODAY = date(2026, 11, 18)
DAYS = st.dates(TODAY, date(2100, 12, 31))
GOALS = st.sampled_from(get_args(Goal))
LEVELS = st.sampled_from(get_args(ActivityLevel))
WEIGHTS = st.decimals(30, 300, places=2)
HEIGHTS = st.decimals(100, 250, places=2)
BIRTHS = st.dates(date(1905, 11, 19), date(2013, 11, 18))
BODIES = st.builds(
    Body,
    date_of_birth=BIRTHS,
    gender=st.sampled_from(get_args(Gender)),
    height=HEIGHTS,
    weight=WEIGHTS,
    target_weight=WEIGHTS,
    activity_level=LEVELS,
    primary_goal=GOALS,
)

# The person that the formulas were first checked with, 36 years old.
CHECKED = Body(
    date_of_birth=date(1990, 5, 17),
    gender="male",
    height=Decimal(175),
    weight=Decimal("85.55"),
    target_weight=Decimal(78),
    activity_level="very_active",
    primary_goal="lose_weight",
)

assert age(date(1905, 11, 19), TODAY) == 120
assert age(date(2013, 11, 18), TODAY) == 13
assert age(date(2013, 11, 18) + timedelta(days=1), TODAY) == 12
