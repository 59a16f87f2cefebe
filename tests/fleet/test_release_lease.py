"""One release at a time, and none that stays in the way when whoever ran it is gone."""

from __future__ import annotations

import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fleet.machines.plays import Play
from tests.fleet.machines.tested import TestedFleet
from tests.fleet.releasing import build, current, outside

pytestmark = [pytest.mark.shape("full"), pytest.mark.timeout(1800)]

AT_ONCE = 10
# Where the controller's power goes, one after the other. The next run goes on from there, so each
# of them gets further than the one before.
KILLED_AT = (
    "Ship the archive and its signature",
    "Install its packages, by their hashes and from nowhere else",
    "Mark the release as complete",
    "Keep the settings that it is going to have, which it judges first",
    "Read which migrations are due",
    "Start an instance that serves nobody",
    "Use it as a new person would",
    "Switch the host to the release",
    "Restart the instances behind stand-ins",
    "Write down that the release serves",
)


def test_of_ten_releases_at_once_one_runs(fleet: TestedFleet) -> None:
    """The others say who holds the lease, and have done nothing."""
    version = build(fleet)

    def run(number: int) -> Play:
        holder = f"operator{number}@desk"
        more = ("-e", f"release_holder={holder}", "-e", "release_probe=false")
        return fleet.play("release.yml", "-e", f"version={version}", *more)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        plays = list(pool.map(run, range(AT_ONCE)))
    won = [play for play in plays if play.rc == 0 and f"Release {version} serves" in play.stdout]
    assert len(won) == 1
    for play in plays:
        if play is won[0]:
            continue
        held = re.search(r"operator\d@desk has held it for \d+ s to", play.stdout)
        # Who comes when all is done finds nothing to do.
        idle = "runs on every host already" in play.stdout
        assert held or (idle and play.rc == 0), play.stdout[-2000:]
        assert play.changes == []
    assert set(current(fleet).values()) == {version}


def test_a_release_goes_on_where_a_killed_one_stopped(fleet: TestedFleet, tmp_path: Path) -> None:
    """Its lease ends by itself; clients notice none of it."""
    version = build(fleet)
    quick = ("-e", "release_probe=false")
    wait = (*quick, "-e", "release_lease_wait=90", "-e", "release_lease_seconds=20")
    with outside(fleet, tmp_path, 20) as client:
        for task in KILLED_AT:
            killed = fleet.play("release.yml", "-e", f"version={version}", *wait, killed_at=task)
            assert killed.rc == -signal.SIGKILL, killed.stdout[-3000:]
            assert task in killed.stdout
        held = fleet.play("release.yml", "-e", f"version={version}", *quick)
        assert held.rc != 0
        assert "has held it for" in held.stdout, held.stdout[-2000:]
        play = fleet.play("release.yml", "-e", f"version={version}", *wait)
        assert play.rc == 0, play.stdout[-3000:]
        assert client.failures() == {}
    assert set(current(fleet).values()) == {version}
    assert fleet.play("release.yml", "-e", f"version={version}", *wait).changes == []
