"""`make test-fleet`: each kind of fleet in turn, from bare hosts to the last test."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import NoReturn

from tests.fleet.machines import cgroups, fleet, image, pace, plays, prerequisites, rehearsal
from tests.fleet.machines.commands import Refused, locked, say
from tests.fleet.machines.places import PROJECT, STATE
from tests.fleet.machines.shapes import SHAPES

# What each is called, its shape and its Debian release: each shape once, each release once, and the
# rest for whoever has the time.
KINDS = {
    "small": ("small", "trixie"),
    "full": ("full", "bookworm"),
    "bookworm": ("small", "bookworm"),
}
# Seconds that are promised, with the packages kept from an earlier run.
BARS = {
    "small": {"bring-up": 300.0, "second run": 90.0},
    "full": {"bring-up": 720.0, "second run": 90.0},
    "bookworm": {"bring-up": 300.0, "second run": 90.0},
}
_SMALL_MEMORY_MB = 1536
# Kinds that have so many tests that two fleets share them, where all are run: those marked `beside`
# have the second one.
_SHARED = ("small",)
_NOTHING_COLLECTED = 5
ALL = "tests/fleet"
# A test and how it went, of all that pytest says.
_VERDICT = re.compile(r"\S+::.* (PASSED|FAILED|ERROR|SKIPPED)")


@dataclass
class Report:
    """What was measured, and what was not as promised."""

    rows: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def time(self, kind: str, part: str, span: pace.Span) -> None:
        """A part took so long, which may be too long, also on a machine that is slower now."""
        bar, seconds, slowness = BARS[kind].get(part), span.seconds, span.slowness
        limit = f" (at most {bar * slowness:.0f} s)" if bar else ""
        if bar and slowness > 1.0:
            limit += f": {seconds / slowness:.1f} s of {bar:.0f}, {slowness:.2f} times slower now"
        row = f"{kind:7} {part:11} {seconds:7.1f} s{limit}"
        self.rows.append(row)
        say(f"== {row}")
        if bar and seconds / slowness > bar:
            self.faults.append(f"{kind}: {part} took {seconds:.0f} s{limit}")


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


def make_images(kinds: Sequence[str]) -> None:
    """What hosts of these kinds begin as, at the same time: each is a minute of one processor."""
    wanted = {**prerequisites.PACKAGES, **prerequisites.PACKAGES_OF_TESTS}
    for shape, suite in map(KINDS.__getitem__, kinds):
        prerequisites.check(SHAPES[shape], suite, wanted)
    with ThreadPoolExecutor() as pool:
        list(pool.map(image.image_for, {KINDS[kind][1] for kind in kinds}))


def bring_up(kind: str, report: Report, stack: ExitStack) -> fleet.Fleet | None:
    """Bare hosts, site.yml, and site.yml again, against the clock; None where that failed."""
    with pace.timed() as span:
        found = _deployed(kind, f"test{kind}", report, stack, show=True)
        if found:
            rehearsal.ask(found.plan)
    if found:
        report.time(kind, "bring-up", span)
        _again(kind, found.plan.name, report)
        _memory(kind, found, report)
    return found


def _deployed(
    kind: str, name: str, report: Report, stack: ExitStack, *, show: bool
) -> fleet.Fleet | None:
    found = stack.enter_context(kept(kind, name))
    rehearsal.give_release(name)
    first = plays.play(name, "site.yml", show=show)
    found.keep_packages()
    if first.rc == 0:
        return found
    report.faults.append(f"{name}: site.yml failed")
    if not show:
        say(first.stdout)
    return None


class Trial:
    """The tests that are meant for one fleet, while they run; ``part`` is as of pytest's -m."""

    def __init__(
        self, kind: str, found: fleet.Fleet, tests: Sequence[str], part: str | None = None
    ) -> None:
        self.kind = kind
        self._said: list[str] = []
        self._started = time.monotonic()
        self.seconds = 0.0
        python = str(PROJECT / ".venvs" / "test" / "bin" / "python")
        command = [python, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--no-cov", *tests]
        # Which of them take long.
        command += ["--durations=40", "--durations-min=10"]
        if part:
            command += ["-m", part]
        environment = {"GTSD_REHEARSAL": found.plan.name, "PYTHONPATH": str(PROJECT / "service")}
        self._process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._said.append(line)
            if verdict := _VERDICT.match(line):
                say(f"{self.kind:7} {verdict[0]}")
        self.seconds = time.monotonic() - self._started

    def wait(self) -> int:
        """Until the last test; pytest's status."""
        status = self._process.wait()
        self._listener.join()
        return status

    def end(self) -> None:
        """Nothing of it runs on, whatever happened."""
        plays.end(self._process)
        self._listener.join()

    @property
    def said(self) -> str:
        """All that pytest said."""
        return "".join(self._said)


def try_kinds(kinds: Sequence[str], tests: Sequence[str], report: Report) -> None:
    """Each fleet in turn against the clock, then the tests of all of them side by side.

    Most of a test is waiting: for SSH, for a boot, for a lease that ends.
    """
    shared = [kind for kind in kinds if kind in _SHARED and list(tests) == [ALL]]
    make_images(kinds)
    with ExitStack() as stack:
        up = {kind: found for kind in kinds if (found := bring_up(kind, report, stack))}
        trials = []
        for kind, found in up.items():
            trials.append(Trial(kind, found, tests, _part(kind, shared)))
            stack.callback(trials[-1].end)
        for kind in shared:
            if second := _deployed(kind, _second(kind), report, stack, show=False):
                trials.append(Trial(kind, second, tests, "beside"))
                stack.callback(trials[-1].end)
        for trial in trials:
            _told(trial, report)
    for name in [*(f"test{kind}" for kind in kinds), *map(_second, shared)]:
        report.faults += [f"{name}: left behind: {rest}" for rest in fleet.leftovers(name)]


def _part(kind: str, shared: Sequence[str]) -> str | None:
    if kind == "bookworm":
        return "both_releases"
    return "not beside" if kind in shared else None


def _second(kind: str) -> str:
    return f"test{kind}2"


def _told(trial: Trial, report: Report) -> None:
    status = trial.wait()
    if status not in (0, _NOTHING_COLLECTED):
        report.faults.append(f"{trial.kind}: tests failed")
        say(f"\n== {trial.kind}\n{trial.said}")
    else:
        say(f"\n== {trial.kind}\n{trial.said[trial.said.rfind('= slowest') :]}")
    report.time(trial.kind, "tests", pace.Span(trial.seconds))


def _again(kind: str, name: str, report: Report) -> None:
    with pace.timed() as span:
        second = plays.play(name, "site.yml")
    report.time(kind, "second run", span)
    if second.rc:
        say(second.stdout)
        report.faults.append(f"{kind}: site.yml failed when it was run again")
    report.faults += [f"{kind}: the second run changed {change}" for change in second.changes]
    # Before anything was released: later there is a ledger that says what serves.
    if kind == "small" and (verified := plays.play(name, "verify.yml")).rc:
        say(verified.stdout)
        report.faults.append(f"{kind}: verify.yml found something red")


def _memory(kind: str, found: fleet.Fleet, report: Report) -> None:
    used = sum(cgroups.memory_mb(found.plan.name, name) or 0 for name in found.hosts)
    report.rows.append(f"{kind:7} {'memory':11} {used:7} MB in all")
    if found.plan.shape.name == "small" and used > _SMALL_MEMORY_MB:
        report.faults.append(f"{kind}: the host uses {used} MB")


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def main() -> int:
    """Try the kinds that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--tests", default=ALL)
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    report = Report()
    try:
        with locked(STATE / ".suite"):
            try_kinds(options.kind or list(KINDS), shlex.split(options.tests), report)
    except Refused as error:
        report.faults.append(str(error))
    say("\n".join(["", "test-fleet:", *report.rows, *report.faults]))
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
