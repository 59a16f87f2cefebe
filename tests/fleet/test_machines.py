"""The hosts of a rehearsal behave as machines do, and nothing of them is ever left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.fleet.machines import cgroups, packages
from tests.fleet.machines.commands import wait
from tests.fleet.machines.fleet import down, leftovers, up
from tests.fleet.machines.places import PROJECT
from tests.fleet.machines.shapes import SHAPES
from tests.fleet.machines.tested import TestedFleet

pytestmark = pytest.mark.both_releases
_MACHINES = [sys.executable, "-m", "tests.fleet.machines", "--name"]


@pytest.fixture
def other(fleet: TestedFleet) -> Iterator[str]:
    """The name of a second fleet, which there is neither before nor after."""
    name = f"other{fleet.suite[:6]}"
    down(name)
    yield name
    down(name)


@pytest.fixture
def second(fleet: TestedFleet, other: str) -> TestedFleet:
    """A fleet beside the one that is up; its host is bare."""
    return TestedFleet(up(other, SHAPES["small"], fleet.suite))


def test_two_fleets_do_not_see_each_other(second: TestedFleet, fleet: TestedFleet) -> None:
    """Each has a network of its own, though both have a host of that name."""
    assert second.host("vm1").check_output("hostname") == "vm1"
    assert second.address("vm1") != fleet.address("vm1")
    code = "import socket, sys; socket.create_connection((sys.argv[1], 22), 3)"
    command = [sys.executable, "-c", code]
    refused = second.run_beside("vm1", [*command, fleet.address("vm1")])
    assert "ConnectionRefusedError" in refused.stderr


def test_a_host_reaches_package_archives_and_nothing_else(second: TestedFleet) -> None:
    """Whatever a playbook fetches from elsewhere would fail at a customer's as well."""
    connect = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)"
    archive, port = min(packages.addresses(packages.wanted()))
    command = [sys.executable, "-c", connect]
    assert second.run_beside("vm1", [*command, archive, str(port)]).returncode == 0
    # A documentation address; the refusal comes from this machine's rules.
    assert "Refused" in second.run_beside("vm1", [*command, "203.0.113.1", "443"]).stderr


def test_down_leaves_nothing(second: TestedFleet, other: str) -> None:
    """Processes, mounts, networks, rules, control groups and files are gone."""
    assert leftovers(other)
    second.host("vm1").check_output("true")
    down(other)
    assert leftovers(other) == []


def test_a_start_that_is_killed_can_be_cleaned_up(other: str, fleet: TestedFleet) -> None:
    """All that is known then is the name."""
    command = [*_MACHINES, other, "up", "--image", fleet.suite]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL) as starting:
        assert wait(lambda: len(cgroups.members(other)) > 3, 30)
        starting.kill()
    assert any(rest.startswith("process") for rest in leftovers(other))
    down(other)
    assert leftovers(other) == []


def test_a_fleet_ends_with_the_process_that_keeps_it(other: str, fleet: TestedFleet) -> None:
    """Even if that is killed by force, so that it cannot do anything about it."""
    code = (
        "import sys, time\nfrom tests.fleet.machines.suite import kept\n"
        "with kept(sys.argv[1], sys.argv[2]):\n    print('up', flush=True)\n    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", code, "small", other]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as keeping:
        assert keeping.stdout
        assert "up\n" in keeping.stdout
        os.kill(keeping.pid, signal.SIGKILL)
    assert wait(lambda: leftovers(other) == [], 30), leftovers(other)


def test_a_host_whose_plug_was_pulled_boots_anew(second: TestedFleet) -> None:
    """Its disk is as it was, its memory is not."""
    boot = "cat /run/booted 2>/dev/null || echo none"
    second.host("vm1").check_output("touch /var/lib/kept; echo first > /run/booted")
    # The network of a host outlives it and refuses what comes, so only a taken connection tells.
    knock = ["timeout", "2", "bash", "-c", f"</dev/tcp/{second.address('vm1')}/22"]
    assert second.run_beside(None, knock).returncode == 0
    second.pull_plug("vm1")
    assert second.run_beside(None, knock).returncode != 0
    second.power_on("vm1")
    assert second.host("vm1").check_output(boot) == "none"
    assert second.host("vm1").file("/var/lib/kept").exists


def test_a_firewall_that_nobody_loads_at_boot_is_gone_after_it(second: TestedFleet) -> None:
    """Otherwise a rule set that is not enabled would seem to survive a reboot."""
    added = second.run_beside("vm1", ["nft", "add", "table", "ip", "sample"])
    assert added.returncode == 0
    second.reboot("vm1")
    assert second.run_beside("vm1", ["nft", "list", "tables"]).stdout == ""


def test_a_cut_host_is_reached_again_when_it_is_healed(second: TestedFleet) -> None:
    """The cable is out, the host runs on."""
    second.cut("vm1")
    assert second.answering(None, "vm1", "22") == set()
    second.heal("vm1")
    assert second.answering(None, "vm1", "22") == {22}


def test_limits_of_units_hold_inside(second: TestedFleet) -> None:
    """Memory, processors, tasks and addresses: what units promise in production is tried here."""
    host = second.host("vm1")
    once = "systemd-run --wait --pipe --quiet --collect"
    grow = "python3 -c 'x = bytearray(200 << 20)'"

    def succeeds(properties: str, command: str) -> bool:
        # SSH itself fails with 255, as a killed unit does.
        return bool(host.run(f"{once} {properties} {command} || exit 1").rc == 0)

    assert succeeds("", grow)
    assert not succeeds("-p MemoryMax=50M", grow)
    busy = (
        "python3 -c 'import time, json; t = time.time()\n"
        "while time.time() - t < 2: pass\nprint(json.dumps(time.process_time()))'"
    )
    assert json.loads(host.check_output(f"{once} -p CPUQuota=20% {busy}")) < 1.0
    reach = f"python3 -c 'import socket; socket.create_connection((\"{second.gateway}\", 443), 2)'"
    assert succeeds("", reach)
    assert not succeeds("-p IPAddressDeny=any", reach)
    fork = "bash -c 'for i in 1 2 3 4 5 6; do sleep 1 & done; wait'"
    assert "fork" in host.run(f"{once} -p TasksMax=3 {fork}").stderr
