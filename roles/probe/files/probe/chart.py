"""Where the lines, bands and labels of the timeline lie; the page draws them. Units are pixels."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from statistics import median
from typing import Final

from probe.story import Mark, Story, milliseconds

_LEFT, _RIGHT, _LANE, _PLOT, _STRIP = 58, 14, 20, 240, 46
_LETTER: Final = 7.2
_STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
_DECADES_S: Final = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)
# A line for each of them would be a wall.
_MOST_LANES: Final = 6


@dataclass(frozen=True)
class Tick:
    """A place on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Host:
    """One host's turn: from its first mark to its last."""

    x: float
    width: float
    label_x: float
    label_y: float
    label: str
    anchor: str
    told: str


@dataclass(frozen=True)
class Bin:
    """Some seconds of the run, as many as one step of the drawing holds."""

    at: int
    requests: int
    failed: int
    p50: float | None
    p99: float | None


@dataclass
class Chart:
    """All that is drawn."""

    width: int
    right: float
    left: float = _LEFT
    top: float = 0.0
    ticks_x: list[Tick] = field(default_factory=list)
    ticks_y: list[Tick] = field(default_factory=list)
    bands: list[str] = field(default_factory=list)
    middles: list[str] = field(default_factory=list)
    uppers: list[str] = field(default_factory=list)
    marks: list[Tick] = field(default_factory=list)
    hosts: list[Host] = field(default_factory=list)
    failures: list[tuple[float, float, str]] = field(default_factory=list)

    @property
    def bottom(self) -> float:
        """Of the durations."""
        return self.top + _PLOT

    @property
    def strip_y(self) -> float:
        """The upper edge of the strip with the failures."""
        return self.bottom + 10

    @property
    def height(self) -> float:
        """Of all of it."""
        return self.bottom + _STRIP + 34


def bins(story: Story, most: int) -> list[Bin]:
    """The run in at most so many parts; of a part its middle p50 and its worst p99."""
    if not story.seconds:
        return []
    start = story.seconds[0].at
    size = max(1, math.ceil((story.seconds[-1].at - start + 1) / most))
    failed = Counter((int(row["scheduled"]) - start) // size for row in story.failures)
    parts = []
    for number, group in groupby(story.seconds, lambda second: (second.at - start) // size):
        seconds = list(group)
        p50 = [second.p50 for second in seconds if second.p50 is not None]
        p99 = [second.p99 for second in seconds if second.p99 is not None]
        requests = sum(second.requests for second in seconds)
        parts.append(
            Bin(
                at=start + number * size,
                requests=requests,
                failed=failed[number],
                p50=median(p50) if p50 else None,
                p99=max(p99) if p99 else None,
            )
        )
    return parts


def clock(at: float) -> str:
    """The time of day in UTC."""
    return time.strftime("%H:%M:%S", time.gmtime(at))


def _turns(marks: Sequence[Mark]) -> list[list[Mark]]:
    """Marks of one host that follow each other belong together."""
    return [list(group) for _, group in groupby(marks, lambda mark: mark.host)]


class _Scales:
    def __init__(self, story: Story, marks: Sequence[Mark], chart: Chart, slowest: float) -> None:
        times = [story.began, story.ended + 1, *(mark.at for mark in marks)]
        self.start, self.end = min(times), max(times)
        self.chart = chart
        self.decades = [s for s in _DECADES_S if s / 10 < slowest] or [*_DECADES_S[:2]]

    def x(self, at: float) -> float:
        share = (at - self.start) / max(self.end - self.start, 1e-9)
        return round(self.chart.left + share * (self.chart.right - self.chart.left), 1)

    def y(self, seconds: float) -> float:
        low, high = math.log(self.decades[0]), math.log(self.decades[-1])
        share = (math.log(max(seconds, self.decades[0])) - low) / (high - low)
        return round(self.chart.bottom - min(share, 1.0) * (self.chart.bottom - self.chart.top), 1)


def draw(story: Story, marks: Sequence[Mark], width: int) -> Chart:
    """The timeline, ``width`` pixels wide."""
    parts = bins(story, max(20, (width - _LEFT - _RIGHT) // 4))
    chart = Chart(width=width, right=float(width - _RIGHT))
    slowest = max((part.p99 for part in parts if part.p99 is not None), default=0.05)
    scales = _Scales(story, marks, chart, slowest)
    chart.hosts = _hosts(scales, _turns(marks))
    chart.top = max((host.label_y for host in chart.hosts), default=0.0) + 12.0
    chart.ticks_y = [Tick(scales.y(s), _label(s)) for s in scales.decades]
    chart.ticks_x = _times(scales, 3 if width < 600 else 8)
    _durations(chart, scales, parts)
    chart.marks = [
        Tick(scales.x(mark.at), f"{clock(mark.at)} {mark.host}: {mark.what}") for mark in marks
    ]
    chart.failures = _failures(scales, parts)
    return chart


def _label(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"


def _times(scales: _Scales, most: int) -> list[Tick]:
    span = scales.end - scales.start
    step = next((s for s in _STEPS_S if span / s <= most), _STEPS_S[-1])
    first = math.ceil(scales.start / step) * step
    room = 4 * _LETTER
    ticks = [Tick(scales.x(at), clock(at)) for at in range(first, int(scales.end) + 1, step)]
    return [tick for tick in ticks if room < tick.at < scales.chart.width - room]


def _durations(chart: Chart, scales: _Scales, parts: list[Bin]) -> None:
    """Lines break where nothing was answered."""
    size = parts[1].at - parts[0].at if len(parts) > 1 else 1
    runs: list[list[Bin]] = [[]]
    for before, part in pairwise([None, *parts]):
        assert part is not None
        gap = before is not None and part.at - before.at > size * 1.5
        if gap or part.p50 is None:
            runs.append([])
        if part.p50 is not None:
            runs[-1].append(part)
    for run in filter(None, runs):
        middle = [(scales.x(part.at + size / 2), scales.y(part.p50 or 0.0)) for part in run]
        upper = [(scales.x(part.at + size / 2), scales.y(part.p99 or 0.0)) for part in run]
        chart.middles.append(_points(middle))
        chart.uppers.append(_points(upper))
        chart.bands.append(_points([*upper, *reversed(middle)]))


def _points(points: list[tuple[float, float]]) -> str:
    if len(points) == 1:
        # A line of one point is invisible.
        (x, y) = points[0]
        points = [(x - 1, y), (x + 1, y)]
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def _hosts(scales: _Scales, turns: list[list[Mark]]) -> list[Host]:
    """Each turn's band and label, the label in the first lane that has room for it."""
    ends = [0.0] * _MOST_LANES
    hosts = []
    for turn in turns:
        x, end = scales.x(turn[0].at), scales.x(turn[-1].at)
        room = len(turn[0].host) * _LETTER
        lies_left = x + room > scales.chart.width
        start = x - room if lies_left else x
        lane = next((lane for lane, taken in enumerate(ends) if start > taken), None)
        if lane is not None:
            ends[lane] = start + room + _LETTER
        hosts.append(
            Host(
                x=x,
                width=max(round(end - x, 1), 2.0),
                label_x=x - 4 if lies_left else x + 4,
                label_y=16 + (lane or 0) * _LANE,
                label=turn[0].host if lane is not None else "",
                anchor="end" if lies_left else "start",
                told=f"{turn[0].host}: {clock(turn[0].at)} to {clock(turn[-1].at)} UTC",
            )
        )
    return hosts


def _failures(scales: _Scales, parts: list[Bin]) -> list[tuple[float, float, str]]:
    """Where red marks stand, how high they are, and what they say."""
    most = max((part.failed for part in parts), default=0)
    return [
        (
            scales.x(part.at),
            round(8 + (_STRIP - 20) * part.failed / most, 1),
            f"{clock(part.at)} UTC: {part.failed:,} of {part.requests:,} failed",
        )
        for part in parts
        if part.failed
    ]


def described(story: Story, marks: Sequence[Mark]) -> str:
    """What the timeline shows, for those who do not see it."""
    turns = _turns(marks)
    hosts = ", ".join(f"{turn[0].host} at {clock(turn[0].at)}" for turn in turns) or "none"
    worst = max((s.p99 for s in story.seconds if s.p99 is not None), default=None)
    return (
        f"From {clock(story.began)} to {clock(story.ended)} UTC: median {milliseconds(story.p50)}, "
        f"99th percentile {milliseconds(story.p99)}, in the worst second {milliseconds(worst)}; "
        f"{story.failed:,} failed requests. Hosts switched: {hosts}."
    )
