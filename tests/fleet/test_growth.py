"""Growing is an edit of the inventory and site.yml: one run, and nobody else notices."""

from __future__ import annotations

import pytest

from tests.fleet.machines.tested import TestedFleet

pytestmark = pytest.mark.shape("full")

_UNITS = {
    "app": ("gtsd-api@1", "gtsd-api@2", "haproxy", "pgbouncer"),
    "database": ("etcd", "patroni", "redis-server"),
    "edge": ("nginx",),
}


def started(fleet: TestedFleet) -> dict[str, str]:
    """The process number of each server on the hosts that were there from the start."""
    return {
        f"{unit} on {name}": fleet.host(name).check_output(
            f"systemctl show --property=MainPID --value {unit}"
        )
        for group, units in _UNITS.items()
        for name in fleet.names(group)
        for unit in units
    }


def served(fleet: TestedFleet, name: str) -> float:
    """Requests that the first instance of a host has answered, by its own count."""
    command = ["curl", "--silent", "--noproxy", "*", "http://127.0.0.1:3001/metrics"]
    metrics = fleet.run_beside(name, command).stdout
    rows = (row for row in metrics.splitlines() if row.startswith("gtsd_http_requests_total{"))
    return sum(float(row.rsplit(" ", 1)[1]) for row in rows if "/openapi.json" in row)


def test_a_new_app_host_serves_after_one_run_and_nobody_is_restarted(fleet: TestedFleet) -> None:
    """From bare to its share of the requests, at both edges."""
    before = started(fleet)
    assert "0" not in before.values()
    fleet.join("app3", "app")
    play = fleet.play("site.yml")
    assert play.rc == 0, play.stdout[-4000:]
    assert started(fleet) == before
    for edge in fleet.names("edge"):
        for _ in range(30):
            assert (
                fleet.outside_curl("/openapi.json", "--output", "/dev/null", edge=edge).returncode
                == 0
            )
    assert served(fleet, "app3") > 0
    assert fleet.play("site.yml").changes == []
