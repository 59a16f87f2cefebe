"""Which segments of WAL a restore to the newest moment reads, and which of them are missing.

PostgreSQL takes the first segment that it cannot get for the end of the archive, and starts: a
restore with a hole in its WAL looks like a good one that is a little older. So the archive's list
is compared with what the path through its timelines needs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

# As pgBackRest keeps them: name, SHA-1 of the content, compression.
_KEPT = re.compile(r"(?:[0-9A-F]{16}/)?([0-9A-F]{24})-[0-9a-f]{40}(?:\.\w+)?")
_HISTORY = re.compile(r"([0-9A-F]{8})\.history")
_SWITCH = re.compile(r"\s*(\d+)\s+([0-9A-F]+/[0-9A-F]+)\b")
_LOG_BYTES = 1 << 32


class Segment(NamedTuple):
    """``number`` counts from the beginning of all WAL."""

    timeline: int
    number: int

    def name(self, size: int) -> str:
        """Its file's name, where segments have ``size`` bytes."""
        log, place = divmod(self.number, _LOG_BYTES // size)
        return f"{self.timeline:08X}{log:08X}{place:08X}"


class Switch(NamedTuple):
    """The place at which a timeline was left for the next one."""

    timeline: int
    lsn: int


class Coverage(NamedTuple):
    """The newest segment on the way, and the names of those that are needed and not there."""

    newest: Segment
    missing: list[str]


class Unreachable(Exception):
    """The backup is on a branch that the newest timeline does not come from."""


def segment(name: str, size: int) -> Segment:
    """What the 24 digits of a file's name say."""
    timeline, log, place = (int(name[at : at + 8], 16) for at in (0, 8, 16))
    return Segment(timeline, log * (_LOG_BYTES // size) + place)


def lsn(text: str) -> int:
    """The position that PostgreSQL writes as ``16/B374D848``."""
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def kept(paths: Iterable[str], size: int) -> dict[int, set[int]]:
    """The segments in a list of the archive's files: numbers by timeline."""
    found: dict[int, set[int]] = {}
    for path in paths:
        if match := _KEPT.fullmatch(path):
            timeline, number = segment(match[1], size)
            found.setdefault(timeline, set()).add(number)
    return found


def newest_timeline(start: int, paths: Iterable[str]) -> int:
    """The one that PostgreSQL would follow: it asks for one history after the other."""
    histories = {int(match[1], 16) for path in paths if (match := _HISTORY.fullmatch(path))}
    timeline = start
    while timeline + 1 in histories:
        timeline += 1
    return timeline


def history_file(timeline: int) -> str:
    """Where a timeline says which ones it comes from."""
    return f"{timeline:08X}.history"


def switches(history: str) -> list[Switch]:
    """What such a file says, oldest first."""
    matches = (_SWITCH.match(line) for line in history.splitlines())
    return [Switch(int(match[1]), lsn(match[2])) for match in matches if match]


def coverage(
    present: Mapping[int, Collection[int]],
    start: Segment,
    newest: int,
    left: Sequence[Switch],
    size: int,
) -> Coverage:
    """From ``start`` to the last segment of the path to the timeline ``newest``.

    ``left`` are the switches of its history. The segment in which a timeline was left is read from
    the next one, which begins with a copy of it. Raises Unreachable.
    """
    spans = _spans(start, newest, left, size)
    there = [[n for n in present.get(span.timeline, ()) if span.holds(n)] for span in spans]
    reached = [place for place, numbers in enumerate(there) if numbers]
    if not reached:
        return Coverage(start, [start.name(size)])
    last = reached[-1]
    missing: list[str] = []
    for place, span in enumerate(spans[: last + 1]):
        # The way ends where the archive ends; what comes before has to be whole.
        end = max(there[place]) if place == last or span.end is None else span.end
        absent = set(range(span.first, end + 1)).difference(there[place])
        missing += [Segment(span.timeline, number).name(size) for number in sorted(absent)]
    return Coverage(Segment(spans[last].timeline, max(there[last])), missing)


class _Span(NamedTuple):
    """A part of the way on one timeline; the last one has no end."""

    timeline: int
    first: int
    end: int | None

    def holds(self, number: int) -> bool:
        return self.first <= number and (self.end is None or number <= self.end)


def _spans(start: Segment, newest: int, left: Sequence[Switch], size: int) -> list[_Span]:
    ways = [switch for switch in left if switch.timeline >= start.timeline]
    if newest != start.timeline and (
        not ways or ways[0].timeline != start.timeline or ways[0].lsn // size < start.number
    ):
        raise Unreachable(
            f"timeline {newest} does not come from timeline {start.timeline} after the backup"
        )
    spans, first = [], start.number
    for switch in ways:
        at = switch.lsn // size
        spans.append(_Span(switch.timeline, first, at - 1))
        first = at
    return [*spans, _Span(newest, first, None)]
