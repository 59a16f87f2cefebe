"""`make test-fleet`: each kind of fleet in turn, from bare hosts to the last test."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import NoReturn

from tests.fleet.machines import cgroups, fleet, image, plays, prerequisites, rehearsal
from tests.fleet.machines.commands import Refused, locked, say
from tests.fleet.machines.places import PROJECT, STATE
from tests.fleet.machines.shapes import SHAPES, Plan

# What each is called, its shape and its Debian release.
KINDS = {
    "small": ("small", "bookworm"),
    "full": ("full", "bookworm"),
    "trixie": ("small", "trixie"),
}
# Seconds that are promised, with the packages kept from an earlier run.
BARS = {
    "small": {"bring-up": 300.0, "second run": 90.0},
    "full": {"bring-up": 720.0, "second run": 90.0},
    "trixie": {"bring-up": 300.0, "second run": 90.0},
}
_SMALL_MEMORY_MB = 1536
_NOTHING_COLLECTED = 5


def kind_of(plan: Plan) -> str:
    """What a fleet is called here."""
    return "trixie" if plan.suite == "trixie" else plan.shape.name


@dataclass
class Report:
    """What was measured, and what was not as promised."""

    rows: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def time(self, kind: str, part: str, seconds: float) -> None:
        """A part took so long, which may be too long."""
        bar = BARS[kind].get(part)
        limit = f" (at most {bar:.0f} s)" if bar else ""
        row = f"{kind:7} {part:11} {seconds:7.1f} s{limit}"
        self.rows.append(row)
        say(f"== {row}")
        if bar and seconds > bar:
            self.faults.append(f"{kind}: {part} took {seconds:.0f} s, not at most {bar:.0f} s")


@contextmanager
def kept(kind: str, name: str) -> Iterator[fleet.Fleet]:
    """A fleet that is gone afterwards, even if this process is killed."""
    shape, suite = KINDS[kind]
    command = [sys.executable, "-m", "tests.fleet.machines.keeper", name]
    keeper = subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield fleet.up(name, SHAPES[shape], suite)
    finally:
        assert keeper.stdin
        keeper.stdin.close()
        keeper.wait()


def try_kind(kind: str, tests: Sequence[str], report: Report) -> None:
    """Bare hosts, site.yml, site.yml again, tests, nothing left."""
    shape, suite = KINDS[kind]
    wanted = {**prerequisites.PACKAGES, **prerequisites.PACKAGES_OF_TESTS}
    prerequisites.check(SHAPES[shape], suite, wanted)
    image.image_for(suite)
    started = time.monotonic()
    with kept(kind, f"test{kind}") as found:
        name = found.plan.name
        rehearsal.give_release(name)
        first = plays.play(name, "site.yml", show=True)
        found.keep_packages()
        if first.rc:
            report.faults.append(f"{kind}: site.yml failed")
            return
        rehearsal.ask(found.plan)
        report.time(kind, "bring-up", time.monotonic() - started)
        _again(kind, name, report)
        _memory(kind, found, report)
        started = time.monotonic()
        status = _pytest(name, tests)
        report.time(kind, "tests", time.monotonic() - started)
        if status not in (0, _NOTHING_COLLECTED):
            report.faults.append(f"{kind}: tests failed")
    report.faults += [f"{kind}: left behind: {rest}" for rest in fleet.leftovers(name)]


def _again(kind: str, name: str, report: Report) -> None:
    second = plays.play(name, "site.yml")
    report.time(kind, "second run", second.seconds)
    if second.rc:
        say(second.stdout)
        report.faults.append(f"{kind}: site.yml failed when it was run again")
    report.faults += [f"{kind}: the second run changed {change}" for change in second.changes]


def _memory(kind: str, found: fleet.Fleet, report: Report) -> None:
    used = sum(cgroups.memory_mb(found.plan.name, name) or 0 for name in found.hosts)
    report.rows.append(f"{kind:7} {'memory':11} {used:7} MB in all")
    if found.plan.shape.name == "small" and used > _SMALL_MEMORY_MB:
        report.faults.append(f"{kind}: the host uses {used} MB")


def _pytest(name: str, tests: Sequence[str]) -> int:
    python = str(PROJECT / ".venvs" / "test" / "bin" / "python")
    command = [python, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--no-cov", *tests]
    # What CI shows of a test that hangs is its name, and of all of them which ones take long.
    command += ["--durations=15", "--durations-min=20"]
    environment = {**os.environ, "GTSD_REHEARSAL": name, "PYTHONPATH": str(PROJECT / "service")}
    return plays.run_child(command, environment)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def main() -> int:
    """Try the kinds that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--tests", default="tests/fleet")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    report = Report()
    try:
        with locked(STATE / ".suite"):
            for kind in options.kind or KINDS:
                try_kind(kind, shlex.split(options.tests), report)
    except Refused as error:
        report.faults.append(str(error))
    say("\n".join(["", "test-fleet:", *report.rows, *report.faults]))
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
