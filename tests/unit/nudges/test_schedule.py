"""When people are nudged: on their own clocks, whatever is done to those."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from gtsd.nudges.schedule import LATEST, TIMES, due

STEP = timedelta(minutes=5)
# Both days on which clocks are changed, and Kolkata's, where they never are.
DAYS = [
    ("America/Los_Angeles", "2026-03-08"),
    ("America/Los_Angeles", "2026-11-01"),
    ("Pacific/Chatham", "2026-04-05"),
    ("Pacific/Chatham", "2026-09-27"),
    ("Asia/Kolkata", "2026-03-08"),
    ("Asia/Kolkata", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),
]


def instants(day: str, zone: str) -> list[datetime]:
    """Every five minutes from an hour before the day begins there to an hour after it ends."""
    at = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    ends = at + timedelta(hours=26)
    found = []
    at -= timedelta(hours=1)
    while at < ends:
        found.append(at)
        at += STEP
    return found


@pytest.mark.parametrize(("zone", "day"), DAYS)
def test_both_nudges_come_once_on_every_day(zone: str, day: str) -> None:
    """At 06:15 and at 21:00 there, and in the half hour after, also on a day of 23 or 25 hours."""
    found = [d for at in instants(day, zone) for d in due(at, [zone]) if d.day.isoformat() == day]
    assert Counter(d.kind for d in found) == {"morning": 6, "evening": 6}
    for kind, at in TIMES.items():
        clocks = [d.local_at.time() for d in found if d.kind == kind]
        assert clocks[0] == at
        assert clocks == sorted(clocks)
        assert clocks[-1] < (datetime.fromisoformat(f"{day}T{at}") + LATEST).time()


@pytest.mark.parametrize(("zone", "day"), DAYS)
def test_no_nudge_is_due_in_quiet_hours(zone: str, day: str) -> None:
    """From 22:00 to 06:00 there."""
    for at in instants(day, zone):
        for found in due(at, [zone]):
            assert time(6, 0) <= found.local_at.time() < time(22, 0)


def test_the_zone_of_the_server_does_not_decide() -> None:
    """At one instant it is morning in one place, evening in another, and neither in a third."""
    at = datetime(2026, 11, 18, 0, 45, tzinfo=UTC)
    zones = ["Asia/Kolkata", "America/Sao_Paulo", "Europe/Berlin", "UTC"]
    assert [(d.kind, d.timezone, d.day.isoformat()) for d in due(at, zones)] == [
        ("morning", "Asia/Kolkata", "2026-11-18"),
    ]
    evening = due(datetime(2026, 11, 18, 0, 0, tzinfo=UTC), zones)
    assert [(d.kind, d.timezone, d.day.isoformat()) for d in evening] == [
        ("evening", "America/Sao_Paulo", "2026-11-17"),
    ]


def test_a_start_that_comes_too_late_sends_nothing() -> None:
    """Half an hour is the bound, and not a minute before the time either."""
    at = datetime(2026, 11, 18, 6, 15, tzinfo=UTC)
    for minutes, expected in ((-1, 0), (0, 1), (29, 1), (30, 0), (120, 0)):
        assert len(due(at + timedelta(minutes=minutes), ["UTC"])) == expected


def test_a_zone_that_is_not_known_any_more_stops_nobody_else() -> None:
    """Names come from the database, and tables of zones change."""
    at = datetime(2026, 11, 18, 6, 15, tzinfo=UTC)
    assert [d.timezone for d in due(at, ["Mars/Olympus", "UTC"])] == ["UTC"]
