"""A release goes over the hosts and nobody notices; a bad one goes back, or never gets that far."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.machines.commands import say
from tests.fleet.machines.plays import Play
from tests.fleet.machines.tested import TestedFleet
from tests.fleet.releasing import (
    Outside,
    build,
    current,
    kept_otherwise,
    outside,
    processes,
)

# How many there and back, and how often the client calls: more of both by `make test-release-long`.
TIMES = int(os.environ.get("RELEASES") or 2)
RATE = float(os.environ.get("RATE") or 80.0)
REQUESTS = 10_000 * TIMES
pytestmark = [pytest.mark.shape("full"), pytest.mark.timeout(1200 + 300 * TIMES)]
# Where the test looks at something else than requests.
QUICK = ("-e", "release_probe=false")


def release(fleet: TestedFleet, version: str, *more: str) -> Play:
    """As an operator does it."""
    return fleet.play("release.yml", "-e", f"version={version}", *more)


@pytest.fixture(scope="module")
def base(fleet: TestedFleet) -> Iterator[str]:
    """What all hosts run at the start, and at the end again: it is what the inventory says."""
    (version,) = set(current(fleet).values())
    yield version
    if set(current(fleet).values()) != {version}:
        back = fleet.play("rollback.yml", "-e", f"version={version}")
        assert back.rc == 0, back.stdout[-3000:]


@pytest.fixture(scope="module")
def good(fleet: TestedFleet) -> list[str]:
    """Releases with which nothing is wrong."""
    return [build(fleet) for _ in range(TIMES)]


@pytest.fixture
def watched(fleet: TestedFleet, tmp_path: Path) -> Iterator[Outside]:
    """A client outside."""
    with outside(fleet, tmp_path, RATE) as client:
        yield client


def test_releases_and_rollbacks_cost_nobody_a_request(
    fleet: TestedFleet, base: str, good: list[str], watched: Outside
) -> None:
    """No failed request, every confirmed write kept once, and both within their time."""
    time.sleep(20)
    steady = watched.p99(time.time() - 20, time.time())
    spans = []
    for version in good:
        began = time.time()
        forward = release(fleet, version, *watched.lent)
        assert forward.rc == 0, forward.stdout[-4000:]
        assert set(current(fleet).values()) == {version}
        spans.append((f"release of {version}", forward.seconds, watched.p99(began, time.time())))
        back = fleet.play("rollback.yml")
        assert back.rc == 0, back.stdout[-4000:]
        assert set(current(fleet).values()) == {base}
        spans.append((f"rollback from {version}", back.seconds, 0.0))
    say(f"steady p99 {steady:.3f} s, {spans}, {watched.now}")
    while watched.now["requests"] < REQUESTS:
        time.sleep(1)
    assert watched.failures() == {}
    assert kept_otherwise(fleet, watched.folder) == {}


@pytest.mark.usefixtures("base")
def test_the_same_release_again_changes_nothing(fleet: TestedFleet, good: list[str]) -> None:
    """Nor does it restart anything."""
    assert release(fleet, good[-1], *QUICK).rc == 0
    before = processes(fleet)
    again = release(fleet, good[-1], *QUICK)
    assert (again.rc, again.changes) == (0, [])
    assert processes(fleet) == before


@pytest.mark.parametrize("way", ["the ports as well", "without draining"])
def test_restarting_all_at_once_does_cost_requests(
    fleet: TestedFleet, watched: Outside, way: str
) -> None:
    """The control: what releases avoid, this client sees."""
    command = {
        "the ports as well": "systemctl restart 'gtsd-api@*.socket' 'gtsd-api@*.service'",
        "without draining": "systemctl kill --signal=KILL 'gtsd-api@*.service'",
    }[way]
    for _ in range(3):
        for name in fleet.names("app"):
            fleet.host(name).run_expect([0], command)
        time.sleep(4)
    assert watched.failures().total() > 0
