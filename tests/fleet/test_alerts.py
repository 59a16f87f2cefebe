"""Real faults, and how long until a receiver knows; and how long until it knows that they ended.

Those that leave each other alone are made at once. Those that take the service away come
one after the other.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.fleet import faults as ways
from tests.fleet.faults import Fault
from tests.fleet.machines.commands import say
from tests.fleet.machines.tested import TestedFleet
from tests.fleet.releasing import Outside, outside
from tests.fleet.watching import Receiver, query, receiver
from tests.support.probing import history

# By hand (make test-alerts): twenty minutes of waiting for alerts to be told and to end.
pytestmark = [
    pytest.mark.both_releases,
    pytest.mark.by_hand,
    pytest.mark.timeout(1500),
]

# Seconds that are promised, from the fault to the receiver, and from its end.
OUTAGE, OTHER, SLOW, OVER = 60, 180, 360, 300
# Requests a second of the client that meets faults.
RATE = 20.0

# One after the other: each of them takes away what the others need.
OUTAGES = [
    Fault("ApiDown", ways.api_stopped, OUTAGE),
    Fault("DatabaseDown", ways.postgresql_stopped, OUTAGE),
    Fault("DatabaseConnectionsFail", ways.wrong_password, OTHER),
]
TOGETHER = [
    Fault("MemoryNearLimit", ways.memory_used_up, OTHER),
    Fault("WalArchiveFails", ways.archive_broken, OTHER),
    Fault("JobsFailed", ways.poison_job, OTHER),
    Fault("CertificateEnds", ways.certificate_ends, OTHER),
    Fault("DrillFailed", ways.drill_fails, OTHER),
]
# Both are of writes, which fail and succeed as slowly.
MET = [
    Fault("ErrorRateHigh", ways.a_tenth_fails, OTHER),
    Fault("LatencyHigh", ways.writes_are_slow, SLOW),
]


def _wait_for_calm(fleet: TestedFleet, names: list[str]) -> None:
    """What the fault before has left pending would make this one seem sooner told."""
    deadline = time.monotonic() + OVER
    while query(fleet, f'ALERTS{{alertname=~"{"|".join(names)}"}}'):
        assert time.monotonic() < deadline, f"something is wrong already, of {names}"
        time.sleep(2)


def _told(heard: Receiver, faults: list[Fault], fleet: TestedFleet) -> tuple[float, float]:
    """Make all of them, wait for each alert, end them, and wait for each end; when they were."""
    _wait_for_calm(fleet, [fault.alert for fault in faults])
    begun: dict[str, float] = {}
    with ExitStack() as stack:
        for fault in faults:
            begun[fault.alert] = time.time()
            stack.enter_context(fault.make(fleet))
        fired = {f.alert: heard.wait(f.alert, "firing", begun[f.alert], 400) for f in faults}
    ended = time.time()
    over = {f.alert: heard.wait(f.alert, "resolved", ended, 400) for f in faults}
    for fault in faults:
        name = fault.alert
        say(f"{name}: told after {fired[name]:.0f} s, over after {over[name]:.0f} s")
    late = [f"{f.alert}: {fired[f.alert]:.0f} s" for f in faults if fired[f.alert] > f.within]
    late += [f"{name} over: {seconds:.0f} s" for name, seconds in over.items() if seconds > OVER]
    assert not late, late
    return max(begun.values()), ended


@pytest.mark.parametrize("fault", OUTAGES, ids=lambda fault: fault.alert)
def test_an_outage_is_told_within_a_minute(fleet: TestedFleet, fault: Fault) -> None:
    """From the fault to the receiver; the pool's wrong password may take three."""
    with receiver(fleet) as heard:
        _told(heard, [fault], fleet)


def test_what_goes_wrong_beside_it_is_told_within_three(fleet: TestedFleet) -> None:
    """Memory, archive, a poison job, a certificate and the drill, at once."""
    with receiver(fleet) as heard:
        _told(heard, TOGETHER, fleet)


@pytest.fixture(scope="module")
def client(fleet: TestedFleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """Has called for so long that what went well before a fault counts fully against it."""
    with outside(fleet, tmp_path_factory.mktemp("client"), RATE) as calling:
        deadline = time.monotonic() + 240
        # Probes, of which it makes some, are left out.
        while not query(fleet, f"gtsd:requests:rate2m > {RATE} * 0.85"):
            assert time.monotonic() < deadline, "the client is not heard of"
            time.sleep(2)
        yield calling


def _share_failed(client: Outside, since: float, until: float) -> float:
    rows = [row for row in history(client.folder) if since <= row["scheduled"] < until]
    return sum(row["reason"] is not None for row in rows) / len(rows)


def test_errors_and_slowness_that_clients_meet_are_told(
    fleet: TestedFleet, client: Outside
) -> None:
    """One request in ten fails on our side, and writes take a second and a half."""
    with receiver(fleet) as heard:
        span = _told(heard, MET, fleet)
    share = _share_failed(client, *span)
    say(f"{share:.1%} of the client's requests failed meanwhile")
    assert 0.05 < share < 0.15


@pytest.mark.usefixtures("client")
def test_a_pool_that_is_held_is_told(fleet: TestedFleet) -> None:
    """Requests wait for a lock, and keep their connections."""
    with receiver(fleet) as heard:
        _told(heard, [Fault("PoolNearCapacity", ways.table_locked, OTHER)], fleet)
