"""One release at a time, and none that stays in the way when whoever ran it is gone."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fleet.machines.plays import Play
from tests.fleet.machines.tested import TestedFleet
from tests.fleet.releasing import build, current, outside

pytestmark = [pytest.mark.shape("full"), pytest.mark.timeout(1800)]

AT_ONCE = 10
# Seconds into a release at which the controller's power goes: from the first look to the last host.
KILLED_AFTER = (9.0, 17.0, 26.0, 34.0)


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
    wait = ("-e", "release_lease_wait=90", "-e", "release_probe=false")
    with outside(fleet, tmp_path, 20) as client:
        for seconds in KILLED_AFTER:
            killed = fleet.play(
                "release.yml", "-e", f"version={version}", *wait, killed_after=seconds
            )
            assert killed.rc != 0
            held = fleet.play(
                "release.yml", "-e", f"version={version}", "-e", "release_probe=false"
            )
            assert held.rc != 0
            assert "has held it for" in held.stdout, held.stdout[-2000:]
            time.sleep(1)
        play = fleet.play("release.yml", "-e", f"version={version}", *wait)
        assert play.rc == 0, play.stdout[-3000:]
        assert client.failures() == {}
    assert set(current(fleet).values()) == {version}
    assert fleet.play("release.yml", "-e", f"version={version}", *wait).changes == []
