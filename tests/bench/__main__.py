"""How fast we are beside the same API written by others' means: ``make bench``.

All programs run at the same time and take turns, so that whatever else the machine does falls on
all of them; what counts is the ratios of a round. Each round has new processes: of the same program
one is up to 5 % faster than another, by where its memory lies. ``--quick`` asserts with slack.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from gtsd.dev.host import free_port
from tests.bench import report
from tests.bench.bars import Rounds, Verdict, judge, median
from tests.bench.contenders import Contender, built, running, versions
from tests.bench.measure import WORK, answers, etags, run, write_people
from tests.bench.world import World, world
from tests.support.process import ROOT

_QUICK: Final = ("gtsd", "express", "fastapi", "tornado")
# A machine of CI is shared: what must not be lost is that we are ahead, and by about how much.
_SLACK: Final = 0.6
_WORK: Final = ("cached", "postgres", "evidence", "unchanged")


def main() -> int:
    """0 where all bars are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three short rounds, with slack")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of one run")
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--only", nargs="*", help="names of programs")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.only = 3, 2, options.only or _QUICK
    contenders = [one for one in built() if not options.only or one.name in options.only]
    began = time.monotonic()
    with world(options.users) as place:
        rounds = _measure(place, contenders, options.rounds, options.seconds)
    verdicts = judge(rounds, _SLACK if options.quick else 1.0)
    _tell(rounds, verdicts, contenders, time.monotonic() - began, quick=options.quick)
    return 0 if all(verdict.met for verdict in verdicts) else 1


Started = dict[str, tuple[int, int]]


def _start(place: World, contenders: list[Contender], stack: contextlib.ExitStack) -> Started:
    started = {}
    for one in contenders:
        port = free_port()
        started[one.name] = (stack.enter_context(running(one, place, port)), port)
    return started


def _compare_answers(place: World, started: Started) -> None:
    """Every program must say the same, or a rate means nothing."""
    token, user = place.tokens(), place.users[0]
    found: dict[str, Any] = {}
    for name, (_, port) in started.items():
        place.reset()
        found[name] = answers(port, token[user], place.first_task[user])
    ours = found["gtsd"]
    for name, theirs in found.items():
        assert theirs == ours, f"{name} answers otherwise:\n{theirs}\n{ours}"


def _measure(place: World, contenders: list[Contender], number: int, seconds: int) -> Rounds:
    rounds: Rounds = {
        work: {one.name: [] for one in contenders if work in one.work} for work in _WORK
    }
    for turn in range(number):
        with contextlib.ExitStack() as stack:
            started = _start(place, contenders, stack)
            if turn == 0:
                _compare_answers(place, started)
            _run_all(place, started, rounds, turn, seconds)
    return rounds


def _run_all(place: World, started: Started, rounds: Rounds, turn: int, seconds: int) -> None:
    people = place.folder / "people.txt"
    write_people(place, people, {})
    for pid, port in started.values():
        # V8 has yet to compile what is hot.
        run(place, [pid], port, "cached", people, 1)
    for work in _WORK:
        names = list(rounds[work])
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            place.reset()
            pid, port = started[name]
            if work == "unchanged":
                write_people(place, people, etags(port, place.tokens()))
            figures = run(place, [pid], port, work, people, seconds)
            rounds[work][name].append(figures)
            sys.stdout.write(f"round {turn + 1} {work:9} {name:8} {figures.rate:8.0f}/s\n")
            sys.stdout.flush()


def _tell(
    rounds: Rounds,
    verdicts: list[Verdict],
    contenders: list[Contender],
    took: float,
    *,
    quick: bool,
) -> None:
    labels = {one.name: one.label for one in contenders}
    known = versions()
    for work, by in rounds.items():
        sys.stdout.write(f"\n{WORK[work]}\n")
        for name, runs in by.items():
            m = median(runs)
            sys.stdout.write(
                f"  {labels[name]:32} {m.rate:7.0f}/s  p50 {m.p50_ms:6.1f}  p99 {m.p99_ms:6.1f} ms"
                f"  CPU us: {m.cpu_server:5.0f} + {m.cpu_postgres:5.0f} PostgreSQL"
                f" + {m.cpu_redis:3.0f} Redis  {m.memory_mb:4.0f} MB\n"
            )
    sys.stdout.write("\n")
    for bar, found, met in verdicts:
        mark = "met" if met else "NOT MET"
        line = (
            f"{WORK[bar.work]} beside {labels[bar.peer]}: {found:.2f}, wanted {bar.least:g}: {mark}"
        )
        sys.stdout.write(line + "\n")
    sys.stdout.write(", ".join(f"{name} {version}" for name, version in known.items()) + "\n")
    sys.stdout.write(f"{took:.0f} s\n")
    if not quick:
        folder = Path(ROOT, "dist")
        folder.mkdir(exist_ok=True)
        whole = {
            "rounds": {
                work: {name: [r._asdict() for r in runs] for name, runs in by.items()}
                for work, by in rounds.items()
            },
            "bars": [{**v.bar._asdict(), "ratio": v.ratio, "met": v.met} for v in verdicts],
            "versions": known,
        }
        (folder / "bench.json").write_text(json.dumps(whole, indent=1) + "\n")
        (folder / "bench.html").write_text(report.page(rounds, verdicts, labels, known))
        sys.stdout.write("See dist/bench.html and dist/bench.json.\n")


if __name__ == "__main__":
    sys.exit(main())
