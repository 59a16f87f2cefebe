"""What becomes of us with time and with people: memory, and speed over millions of rows.

Run by hand on an idle machine, ``make bench-lasting``, half an hour:

- One process answers a million requests. Its memory is to stay under a bound, and not to grow.
- Today is read from PostgreSQL for as many people of a small database and of a big one, in turns,
  by two processes on one server. The big one is to be nearly as fast.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import psutil

from gtsd.dev.host import free_port
from tests.bench.contenders import OURS, running
from tests.bench.measure import run, write_people
from tests.bench.world import World, world

_MEMORY_MB: Final = 90.0
# Of a process that keeps nothing; what the second half adds for each 100,000 requests.
_SLOPE_MB: Final = 0.5
_GROWTH: Final = 0.85
_PEOPLE: Final = 1_000
_PART_S: Final = 15


def memory(place: World, requests: int) -> list[tuple[float, float]]:
    """Requests of all kinds of reading until then, and MB; as often as it takes to make so many."""
    # A collector that is away is the harder case: nobody listens at that port.
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    ours = OURS._replace(variables=OURS.variables | away)
    port, people = free_port(), place.folder / "people.txt"
    told: list[tuple[float, float]] = []
    done = 0.0
    with running(ours, place, port) as pid:
        while done < requests:
            # Tokens end after a quarter of an hour.
            write_people(place, people, {})
            for work in ("cached", "postgres"):
                done += run(place, [pid], port, work, people, _PART_S).rate * _PART_S
            told.append((done, psutil.Process(pid).memory_info().rss / 2**20))
            sys.stdout.write(f"{done:9.0f} requests: {told[-1][1]:.1f} MB\n")
            sys.stdout.flush()
    return told


def slope(told: list[tuple[float, float]]) -> float:
    """MB that the second half adds for each 100,000 requests, by least squares."""
    requests, used = zip(*told[len(told) // 2 :], strict=True)
    return statistics.linear_regression(requests, used).slope * 100_000


def growth(few: World, many: World, rounds: int) -> float:
    """The rate with many people over that with few: the median of the rounds' ratios."""
    ratios = []
    with contextlib.ExitStack() as stack:
        places = [(place, free_port()) for place in (few, many)]
        pids = [stack.enter_context(running(OURS, place, port)) for place, port in places]
        for turn in range(rounds):
            rates = {}
            for number in (turn % 2, 1 - turn % 2):
                place, port = places[number]
                people = place.folder / "people.txt"
                write_people(place, people, {})
                rates[number] = run(place, [pids[number]], port, "postgres", people, 4).rate
            ratios.append(rates[1] / rates[0])
            sys.stdout.write(f"round {turn + 1}: {rates[0]:.0f}/s and {rates[1]:.0f}/s\n")
            sys.stdout.flush()
    return statistics.median(ratios)


@contextlib.contextmanager
def _some_of(users: int) -> Iterator[World]:
    """A world of so many people, of whom some, from anywhere among them, will ask."""
    with world(users) as place:
        chosen = random.Random(users).sample(place.users, min(_PEOPLE, users))
        yield replace(place, users=tuple(chosen))


def main() -> int:
    """Print the figures; 1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--few", type=int, default=10_000, help="people, with 12 tasks each")
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with _some_of(options.few) as few:
        told = memory(few, options.requests)
        with _some_of(options.many) as many:
            ratio = growth(few, many, options.rounds)
    (_, used), grows = told[-1], slope(told)
    verdicts = (
        (f"memory {used:.1f} MB, at most {_MEMORY_MB:g} wanted", used <= _MEMORY_MB),
        (f"{grows:+.2f} MB for 100,000 requests, at most {_SLOPE_MB:g}", grows <= _SLOPE_MB),
        (f"{options.many} people: {ratio:.2f} of the rate with {options.few}, at least {_GROWTH:g}",
         ratio >= _GROWTH),
    )  # fmt: skip
    for text, met in verdicts:
        sys.stdout.write(f"{text}: {'met' if met else 'NOT MET'}\n")
    return 0 if all(met for _, met in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
