"""Seconds that are promised, on a machine that is not always as quick."""

from __future__ import annotations

import pytest

from tests.fleet.machines import pace
from tests.fleet.machines.suite import BARS, Report

_BAR = BARS["full"]["second run"]


@pytest.mark.parametrize(
    ("seconds", "slowness", "red"),
    [
        (_BAR - 1, 1.0, False),
        (_BAR + 1, 1.0, True),
        (_BAR * 1.3, 1.4, False),
        (_BAR * 1.5, 1.4, True),
    ],
)
def test_a_bar_is_held_against_what_the_machine_can_do_now(
    seconds: float, slowness: float, *, red: bool
) -> None:
    """The same work on a slower machine is as good; more work is not, and the row tells both."""
    report = Report()
    report.time("full", "second run", pace.Span(seconds, slowness))
    assert bool(report.faults) is red
    (row,) = report.rows
    assert f"{seconds:.1f} s" in row
    assert ("times slower" in row) is (slowness > 1.0)


def test_a_quick_machine_makes_no_bar_lower(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was promised stays the promise; a slow one is told by how much."""
    monkeypatch.setattr(pace, "REFERENCE_S", 1000.0)
    assert pace.slowness() == 1.0
    monkeypatch.setattr(pace, "REFERENCE_S", 0.001)
    assert pace.slowness() > 10.0
