"""Where the timeline's parts lie."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from probe import chart
from probe.folder import Folder
from probe.story import Mark, Story, for_machines, read_events, summary, tell
from tests.unit.probe.stories import NOON, RATE, marks, row, write_run


def story(folder: Path, **run: Any) -> tuple[Story, list[Mark]]:
    """A run and its marks, as they are read."""
    events = read_events(write_run(folder, **run))
    return tell(Folder(folder), events), list(events.marks)


@pytest.mark.parametrize("width", [960, 380])
@pytest.mark.parametrize("hosts", [1, 4, 9])
def test_all_lies_within_the_picture_and_no_label_covers_another(
    width: int, hosts: int, tmp_path: Path
) -> None:
    """On a desk and on a phone, with few hosts and with many."""
    events = {"version": "1", "marks": marks(hosts)}
    drawn = chart.draw(*story(tmp_path, events=events, seconds=240, failed=3), width)
    assert len(drawn.hosts) == hosts
    assert len(drawn.marks) == 2 * hosts
    places = [tick.at for tick in drawn.marks] + [x for x, _, _ in drawn.failures]
    assert all(drawn.left <= x <= drawn.right for x in places)
    assert all(drawn.top <= tick.at <= drawn.bottom for tick in drawn.ticks_y)
    labelled = [host for host in drawn.hosts if host.label]
    assert labelled
    for one, other in pairwise(sorted(labelled, key=lambda h: (h.label_y, h.label_x))):
        apart = other.label_x - one.label_x > len(one.label) * 7
        assert apart or one.label_y != other.label_y


def test_lines_break_where_nothing_was_asked(tmp_path: Path) -> None:
    """Nothing is drawn through a time of which nothing is known."""
    whole, _ = story(tmp_path / "whole")
    assert len(chart.draw(whole, [], 960).middles) == 1
    write_run(tmp_path / "gap")
    rows = [row(NOON + number / RATE) for number in range(150 * RATE)]
    kept = [r for r in rows if not 40 <= r["scheduled"] - NOON < 60]
    history = "".join(json.dumps(r) + "\n" for r in kept)
    (tmp_path / "gap/history.jsonl").write_text(history)
    gap = tell(Folder(tmp_path / "gap"), read_events(None))
    assert len(chart.draw(gap, [], 960).middles) == 2


def test_every_failure_is_marked_where_it_happened(tmp_path: Path) -> None:
    """The number of failures in the marks is that of the run."""
    told, events = story(tmp_path, failed=37)
    drawn = chart.draw(told, events, 960)
    assert sum(part.failed for part in chart.bins(told, 60)) == told.failed == 37
    assert len(drawn.failures) == 2
    assert "20 of 20 failed" in drawn.failures[0][2]


def test_an_hour_is_drawn_in_as_few_parts_as_a_minute(tmp_path: Path) -> None:
    """And the worst second of each part stays in sight."""
    told, _ = story(tmp_path, seconds=1200)
    parts = chart.bins(told, 60)
    assert len(parts) <= 60
    assert sum(part.requests for part in parts) == told.requests == 1200 * RATE


def test_the_summary_compares_with_the_time_before_the_first_host(tmp_path: Path) -> None:
    """Without hosts, or hardly any request before them, there is nothing to compare with."""
    told, _ = story(tmp_path / "a")
    assert summary(told) == "0 of 3,000 requests failed; p99 10 ms, 1.0× of the steady 10 ms."
    alone, _ = story(tmp_path / "b", events={"version": "1"}, failed=1)
    assert summary(alone) == "1 of 3,000 requests failed; p99 10 ms."
    early = {"version": "1", "marks": [{"at": NOON + 1, "host": "a", "what": "b"}]}
    assert story(tmp_path / "c", events=early)[0].steady_p99 is None


def test_machines_get_the_same_figures(tmp_path: Path) -> None:
    """As JSON, with numbers as numbers."""
    file = write_run(tmp_path, failed=2)
    events = read_events(file)
    found = json.loads(json.dumps(for_machines(tell(Folder(tmp_path), events), events)))
    assert (found["version"], found["requests"], found["failed"]) == ("1.4.0", 3000, 2)
    assert found["by_reason"] == {"server error": 2}
    assert found["by_route"]["GET /v1/tasks/today"]["failed"] == 2
    assert len(found["marks"]) == 8
