"""Time as a dependency, so that tests decide what day it is."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo


class Clock:
    """The machine's time."""

    def now(self) -> datetime:
        """An aware datetime in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never run backwards; only differences mean anything."""
        return time.monotonic()

    def today(self, timezone: str) -> date:
        """The calendar day in an IANA time zone; raises ZoneInfoNotFoundError."""
        return self.now().astimezone(ZoneInfo(timezone)).date()


class FixedClock(Clock):
    """Stands still until it is moved; for tests."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at

    def move(self, by: timedelta) -> None:
        """Step forwards or, with a negative step, backwards."""
        self._at += by
