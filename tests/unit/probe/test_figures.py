"""Counts and percentiles of requests, and what the last seconds were like."""

from __future__ import annotations

import random
from typing import Any

import pytest

from probe.figures import RECENT_S, Figures, Histogram


def row(seconds: float = 0.01, **fields: Any) -> dict[str, Any]:
    """A request as the history has it."""
    usual = {
        "kind": "read",
        "protocol": "HTTP/2",
        "connection": "kept",
        "write": "",
        "reason": None,
        "slow": False,
    }
    return {**usual, "seconds": seconds, **fields}


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_percentiles_are_right_within_one_per_cent(share: float) -> None:
    """Of any sizes, from microseconds to many seconds."""
    chance = random.Random(4)
    values = sorted(chance.lognormvariate(-4, 2) for _ in range(10_000))
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    (found,) = histogram.percentiles(share)
    assert found == pytest.approx(values[round(share * 10_000) - 1], rel=0.011)
    assert Histogram().percentiles(share) == [None]


def test_the_last_seconds_forget_what_was_before() -> None:
    """A slow start is in the totals and in no gate a minute later."""
    figures = Figures()
    for _ in range(20):
        figures.add(row(5.0, reason="too late"), now=100.0)
    for second in range(20):
        figures.add(row(0.01), now=150.0 + second)
    told = figures.told(now=169.5)
    assert (told["requests"], told["failed"]) == (40, 20)
    assert told["recent"]["requests"] <= RECENT_S + 1
    assert told["recent"]["failed"] == 0
    assert told["recent"]["p99"] == pytest.approx(0.01, rel=0.01)
    assert told["all"]["p99"] == pytest.approx(5.0, rel=0.01)
    assert figures.told(now=300.0)["recent"]["requests"] == 0


def test_slow_requests_count_and_their_durations_do_not() -> None:
    """An upload of six seconds says nothing of the service; one that failed does."""
    figures = Figures()
    figures.add(row(0.02, write="a"), now=1.0)
    figures.add(row(6.0, slow=True, write="b"), now=1.0)
    figures.add(row(6.0, slow=True, write="c", reason="no answer"), now=1.0)
    told = figures.told(now=1.5)
    assert (told["requests"], told["failed"], told["written"]) == (3, 1, 2)
    assert told["by_reason"] == {"no answer": 1}
    assert told["all"]["p99"] == pytest.approx(0.02, rel=0.01)
