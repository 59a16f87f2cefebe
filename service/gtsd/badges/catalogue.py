"""Every badge there is, as data: what is measured, and how much of it earns the badge."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec


class Metric(StrEnum):
    """What a badge counts; ``queries.py`` says how each one is measured."""

    TASKS = "tasks"  # completed tasks
    STREAK = "streak"  # the longest streak, in days
    PERFECT_DAYS = "perfect_days"  # days on which everything due was done
    EVIDENCE = "evidence"
    PHOTOS = "photos"
    ONBOARDED = "onboarded"  # 1 once onboarding is complete


class Badge(NamedTuple):
    """``target`` is how much of the metric earns it. A code is in the database: never reuse one."""

    code: str
    title: str
    description: str
    metric: Metric
    target: int


CATALOGUE: Final = (
    Badge("first_task", "First step", "Complete a task.", Metric.TASKS, 1),
    Badge("tasks_10", "Getting going", "Complete 10 tasks.", Metric.TASKS, 10),
    Badge("tasks_100", "Centurion", "Complete 100 tasks.", Metric.TASKS, 100),
    Badge("tasks_1000", "Unstoppable", "Complete 1,000 tasks.", Metric.TASKS, 1000),
    Badge("streak_3", "Three in a row", "Keep a streak of 3 days.", Metric.STREAK, 3),
    Badge("streak_7", "A whole week", "Keep a streak of 7 days.", Metric.STREAK, 7),
    Badge("streak_30", "A whole month", "Keep a streak of 30 days.", Metric.STREAK, 30),
    Badge("streak_100", "A hundred days", "Keep a streak of 100 days.", Metric.STREAK, 100),
    Badge("streak_365", "A whole year", "Keep a streak of 365 days.", Metric.STREAK, 365),
    Badge("perfect_day", "Nothing left", "Do all of a day's tasks.", Metric.PERFECT_DAYS, 1),
    Badge("perfect_30", "Perfectionist", "Have 30 such days.", Metric.PERFECT_DAYS, 30),
    Badge("first_evidence", "Proof", "Give evidence for a task.", Metric.EVIDENCE, 1),
    Badge("evidence_50", "Well documented", "Give evidence 50 times.", Metric.EVIDENCE, 50),
    Badge("first_photo", "Say cheese", "Keep a photo of your progress.", Metric.PHOTOS, 1),
    Badge("photos_12", "Photo album", "Keep 12 photos.", Metric.PHOTOS, 12),
    Badge("onboarded", "All set", "Tell where you are and where to go.", Metric.ONBOARDED, 1),
)


def as_json(metrics: Iterable[Metric] = Metric) -> str:
    """The badges of some metrics, as the queries take them: an array in the catalogue's order."""
    wanted = frozenset(metrics)
    return msgspec.json.encode(
        [
            {**badge._asdict(), "place": place}
            for place, badge in enumerate(CATALOGUE)
            if badge.metric in wanted
        ]
    ).decode()
