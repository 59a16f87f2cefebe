"""What clients get about badges."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from gtsd.badges.catalogue import Metric
from gtsd.web.fields import Output, Timestamp


class Badge(Output):
    """One badge of the catalogue."""

    code: Annotated[str, Meta(description="Stable.", examples=["streak_7"])]
    title: str
    description: str
    metric: Annotated[Metric, Meta(description="What it counts.")]
    target: Annotated[int, Meta(ge=1, description="How much of it earns the badge.")]


class EarnedBadge(Badge):
    """A badge that is kept for ever."""

    earned_at: Timestamp


class MyBadges(Output):
    """What was earned, the newest first."""

    badges: list[EarnedBadge]
    total: Annotated[int, Meta(ge=0, description="Badges that there are.")]


class BadgeProgress(Badge):
    """How far one is. A badge that was earned stays at 100, whatever was taken back since."""

    current: Annotated[int, Meta(ge=0, description="Never more than the target.")]
    percentage: Annotated[int, Meta(ge=0, le=100)]
    earned: bool
    earned_at: Timestamp | None


class AvailableBadges(Output):
    """The whole catalogue, in its order."""

    badges: list[BadgeProgress]
