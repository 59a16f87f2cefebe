"""What is wanted of the ratios, and whether it was reached."""

from __future__ import annotations

import statistics
from typing import Final, NamedTuple

from tests.bench.measure import Run

Rounds = dict[str, dict[str, list[Run]]]


class Bar(NamedTuple):
    """Our rate over a peer's is to be at least so much; ``over`` tells what that does else.

    ``ours`` is which of our own is compared.
    """

    work: str
    peer: str
    least: float
    over: str = ""
    ours: str = "gtsd"


BARS: Final = (
    Bar("cached", "express", 4.0),
    Bar("cached", "fastapi", 3.5),
    Bar("cached", "go", 0.5),
    Bar("cached", "tornado", 2.5),
    Bar("postgres", "express", 2.5),
    Bar("postgres", "fastapi", 2.0),
    Bar("postgres", "go", 0.7),
    Bar("postgres", "tornado", 2.5),
    Bar("evidence", "express", 3.0),
    Bar("evidence", "fastapi", 3.0),
    Bar("evidence", "go", 0.6),
    Bar("evidence", "tornado", 2.5),
    Bar("unchanged", "gtsd", 1.3, over="cached"),
    Bar("cached", "silent", 0.85, ours="traced"),
)


class Verdict(NamedTuple):
    """A bar, what was found, and whether that is enough with the slack that is granted."""

    bar: Bar
    ratio: float
    met: bool


def judge(rounds: Rounds, slack: float = 1.0) -> list[Verdict]:
    """The median of the rounds' ratios: what slows the machine for a round slows both."""
    verdicts = []
    for bar in BARS:
        ours, theirs = rounds[bar.work].get(bar.ours), rounds[bar.over or bar.work].get(bar.peer)
        if ours and theirs:
            found = ratio(ours, theirs)
            verdicts.append(Verdict(bar, found, found >= bar.least * slack))
    return verdicts


def ratio(ours: list[Run], theirs: list[Run]) -> float:
    """Of the rates, round by round."""
    pairs = zip(ours, theirs, strict=True)
    return statistics.median(mine.rate / other.rate for mine, other in pairs)


def median(runs: list[Run]) -> Run:
    """Each figure by itself."""
    return Run(*(statistics.median(column) for column in zip(*runs, strict=True)))
