"""Planned work wakes nobody: releases, rollbacks, a switchover and a backup, under requests."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.fleet.faults import api_stopped
from tests.fleet.machines.commands import say
from tests.fleet.machines.tested import TestedFleet
from tests.fleet.releasing import build, current, outside
from tests.fleet.test_postgresql import wait
from tests.fleet.watching import query, receiver

# By hand (make test-alerts), since each release takes its minutes; before any faults are made:
# alerts on the budget of errors go on for half an hour after them.
pytestmark = [
    pytest.mark.shape("small", "full"),
    pytest.mark.both_releases,
    pytest.mark.by_hand,
    pytest.mark.timeout(5400),
]

# How many there and back.
TIMES = int(os.environ.get("RELEASES") or 2)
RATE = 20.0
# No alert is longer undecided: most wait for two minutes, and then end within five.
SETTLES = 480
# Always there; on a new fleet for hours: no drill has passed, installing made the disk grow; and
# that nobody listened before the test.
OF_THE_FLEET = {"Watchdog", "DrillNeverPassed", "DiskFullWithinDay", "NotificationsFail"}


def _play(fleet: TestedFleet, playbook: str, *arguments: str) -> None:
    done = fleet.play(playbook, *arguments)
    assert done.rc == 0, done.stdout[-4000:]
    say(f"{playbook}: {done.seconds:.0f} s")


def _alerts(fleet: TestedFleet, seconds: float) -> set[str]:
    """Those that were on their way, or told, at any time of the last seconds."""
    samples = query(fleet, f"last_over_time(ALERTS[{seconds:.0f}s])")
    return {sample["metric"]["alertname"] for sample in samples} - OF_THE_FLEET


def test_planned_work_pages_nobody(fleet: TestedFleet, tmp_path: Path) -> None:
    """No alert is told; the control is an outage that the same receiver hears of."""
    (base,) = set(current(fleet).values())
    version = build(fleet)
    with receiver(fleet) as heard:
        wait(lambda: not _alerts(fleet, 60), SETTLES)
        began = time.time()
        with outside(fleet, tmp_path, RATE) as client:
            for _ in range(TIMES):
                _play(fleet, "release.yml", "-e", f"version={version}", *client.lent)
                _play(fleet, "rollback.yml")
                assert set(current(fleet).values()) == {base}
            if len(fleet.names("database")) > 1:
                _play(fleet, "switchover.yml")
            _play(fleet, "backup.yml")
            wait(lambda: not _alerts(fleet, 60), SETTLES)
        say(f"pending meanwhile: {sorted(_alerts(fleet, time.time() - began))}")
        notes = [note for note in heard.notes() if note["at"] > began]
        # That something is over wakes nobody.
        told = {note["labels"]["alertname"] for note in notes if note["status"] == "firing"}
        assert told - OF_THE_FLEET == set()
        stopped = time.time()
        with api_stopped(fleet):
            heard.wait("ApiDown", "firing", stopped, 180)
        heard.wait("ApiDown", "resolved", stopped, 300)
