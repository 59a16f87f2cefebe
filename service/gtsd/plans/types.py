"""What clients send and get about plans."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from gtsd.plans.formulas import ActivityLevel, Goal
from gtsd.web.fields import Day, Id, Input, Output, Timestamp


class GeneratePlan(Input, frozen=True):
    """Whether to make a new plan although one covers this week."""

    force_recompute: bool = False


class DailyTargets(Output):
    """What a plan aims at: kcal, g and ml a day, kg a week."""

    bmr: Annotated[int, Meta(description="kcal a day at rest.")]
    tdee: Annotated[int, Meta(description="kcal a day as one lives.")]
    calories: Annotated[int, Meta(description="kcal a day to eat.")]
    protein: Annotated[int, Meta(description="g a day.")]
    water: Annotated[int, Meta(description="ml a day.")]
    weekly_rate: Annotated[float, Meta(description="kg a week, negative where weight goes.")]
    weeks: Annotated[
        int | None,
        Meta(description="Weeks to the target weight; null where the goal does not lead there."),
    ]


class PlanDay(Output):
    """How many of a day's planned tasks there are, and how many are done."""

    date: Day
    total: int
    completed: int


class Plan(Output):
    """A week from ``startsOn`` to ``endsOn``, both included; its tasks are found by those days."""

    id: Id
    status: Literal["active"]
    starts_on: Day
    ends_on: Day
    primary_goal: Goal
    activity_level: ActivityLevel
    weight: Annotated[float, Meta(description="kg, that the plan was made for.")]
    meals_per_day: int
    targets: DailyTargets
    total_tasks: int
    completed_tasks: int
    days: list[PlanDay]
    created_at: Timestamp
