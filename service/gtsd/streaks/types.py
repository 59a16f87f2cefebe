"""What clients send and get about streaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from gtsd.web.fields import Day, Input, Output, Pagination, day_problems

Compliance = Annotated[
    float | None,
    Meta(description="completed / (due - skipped), two decimals; null where nothing was to do."),
]


class CheckCompliance(Input, frozen=True):
    """Which day to count again; today when left out."""

    date: Day | None = None

    def problems(self) -> Mapping[str, str]:
        """A day that is far from any person's life."""
        return day_problems(date=self.date)


class Streak(Output):
    """Days in a row. ``current`` is 0 as soon as a whole day was missed."""

    current: int
    longest: int
    total_days: int


class DayCount(Output):
    """How one day went, or goes."""

    date: Day
    due: int
    completed: int
    skipped: int
    compliance: Compliance
    compliant: bool


class MyStreak(Streak):
    """The streak and how today goes."""

    threshold: Annotated[float, Meta(description="The compliance that makes a day count.")]
    today: DayCount


class HistoryDay(DayCount):
    """One day of the history; ``run`` counts the compliant days in a row that end on it."""

    run: int


class History(Output):
    """Days on which something happened, the newest first."""

    days: list[HistoryDay]
    pagination: Pagination


class Checked(Output):
    """The day as counted again, and the streak after it."""

    day: DayCount
    streak: Streak
