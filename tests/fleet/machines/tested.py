"""A fleet as the tests see it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import testinfra
from testinfra.host import Host as Inside

from tests.fleet.machines import cgroups, identity, inventory, network, plays, rehearsal
from tests.fleet.machines import fleet as machines
from tests.fleet.machines.fleet import Fleet
from tests.fleet.machines.plays import Play
from tests.fleet.machines.shapes import namespace_name
from tests.support import scan


class TestedFleet:
    """Hosts to look into, to switch off, and to run playbooks against."""

    __test__ = False

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._inside: dict[str, Inside] = {}
        self.name = fleet.plan.name
        self.shape = fleet.plan.shape.name
        self.suite = fleet.plan.suite
        self.gateway = fleet.plan.gateway
        self.state = fleet.places.state

    # ---- who there is

    def names(self, group: str = "all") -> list[str]:
        """The hosts of a group, in the order of the inventory."""
        shape = self._fleet.plan.shape
        return list(shape.members if group == "all" else shape.groups[group])

    def address(self, name: str) -> str:
        """Where a host is reached."""
        return self._fleet.plan.address(name)

    @cached_property
    def secrets(self) -> dict[str, str]:
        """What stands in the vault of a production inventory."""
        found: dict[str, str] = json.loads(self._fleet.places.secrets.read_text())
        if key := self.customer.get("acme_eab_hmac_key"):
            found["acme_eab_hmac_key"] = key
        return found

    @property
    def customer(self) -> dict[str, str]:
        """Variables by which its certificate authority knows it, where that wants to know."""
        plan, places = self._fleet.plan, self._fleet.places
        return identity.make_customer(places) if plan.binds_accounts else {}

    def join(self, name: str, group: str) -> None:
        """A spare host is in the inventory from now on."""
        inventory.join(self._fleet.plan, name, group)

    # ---- inside

    def host(self, name: str, *, sudo: bool = True) -> Inside:
        """A host for testinfra, by SSH as the admin, with sudo unless that is not wanted."""
        key = name if sudo else f"{name} as ops"
        if key not in self._inside:
            place = f"ssh://{name}?ssh_config={self._fleet.places.ssh_config}&controlpersist=0"
            self._inside[key] = testinfra.get_host(f"{place}&sudo={sudo}")
        return self._inside[key]

    def memory_mb(self, name: str) -> int | None:
        """What a host uses without its file cache."""
        return cgroups.memory_mb(self.name, name)

    def root(self, name: str) -> Path:
        """A host's disk as this machine sees it; for looking, also while the host is off."""
        return self._fleet.hosts[name].root

    # ---- power and cables

    def power_off(self, name: str) -> None:
        """Cleanly, as an operator does."""
        self._fleet.hosts[name].power_off()

    def power_on(self, name: str) -> None:
        """Until it can be logged into."""
        self._fleet.hosts[name].power_on()
        self._fleet.hosts[name].wait_until_reachable()

    def pull_plug(self, name: str) -> None:
        """Nothing on the host gets to do anything more."""
        self._fleet.hosts[name].pull_plug()

    def reboot(self, name: str) -> None:
        """Off, cleanly, and on again."""
        self._fleet.hosts[name].reboot()

    def renew(self) -> None:
        """All hosts are gone with their disks; there are bare ones in their place."""
        self._inside.clear()
        machines.renew(self._fleet)

    def cut(self, name: str) -> None:
        """Take its network cable out."""
        network.set_cable(self._fleet.plan, name, connected=False)

    def heal(self, name: str) -> None:
        """Put its network cable back."""
        network.set_cable(self._fleet.plan, name, connected=True)

    # ---- playbooks

    def play(self, playbook: str, *arguments: str, killed_at: str = "") -> Play:
        """Run a playbook of the project against the fleet; it may fail, see its ``rc``."""
        return plays.play(self.name, playbook, *arguments, killed_at=killed_at)

    # ---- from outside

    def answering(
        self, source: str | None, target: str, ports: str = "1-65535", patience: float = 1.5
    ) -> set[int]:
        """Ports of a host that answer, even by a refusal, to another one or, with None, to us."""
        command = [sys.executable, scan.__file__, self.address(target), ports, str(patience)]
        done = self.run_beside(source, command, timeout=120)
        assert done.returncode == 0, done.stderr
        return set(json.loads(done.stdout))

    def run_beside(
        self, source: str | None, command: Iterable[str], stdin: str = "", timeout: float = 30
    ) -> subprocess.CompletedProcess[str]:
        """A program of this machine in a host's network, as a process that got in there could."""
        return subprocess.run(
            [*self._beside(source), *command],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start_beside(
        self, source: str | None, command: Iterable[str], pass_fds: tuple[int, ...] = ()
    ) -> subprocess.Popen[bytes]:
        """The same, for one that goes on; who starts it ends it."""
        return subprocess.Popen(
            [*self._beside(source), *command], stdin=subprocess.DEVNULL, pass_fds=pass_fds
        )

    def _beside(self, source: str | None) -> list[str]:
        return ["ip", "netns", "exec", namespace_name(self.name, source)] if source else []

    def outside_curl(
        self, path: str, *arguments: str, edge: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Ask an edge over HTTPS from outside, as a client that trusts the public authority."""
        address = self.address(edge or self.names("edge")[0])
        command = rehearsal.curl_command(self._fleet.plan, address, path)
        command.remove("--fail")
        quiet = ["--silent", "--show-error", "--max-time", "15", "--noproxy", "*"]
        return subprocess.run(
            [*command, *quiet, *arguments], capture_output=True, text=True, check=False
        )
