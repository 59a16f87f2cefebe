"""All hosts of a rehearsal together: started, found running, and taken away without a trace."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network
from pathlib import Path

from tests.fleet.machines import cgroups, identity, image, inventory, limits, network, world
from tests.fleet.machines.commands import Refused, attempt, locked
from tests.fleet.machines.host import Host
from tests.fleet.machines.places import STATE, Places, running
from tests.fleet.machines.shapes import SHAPES, Plan, Shape, check_name, free_network

_LOCK = STATE / ".lock"
# Where systemd-nspawn leaves a folder of each host whose plug was pulled.
_NSPAWN = Path("/run/systemd/nspawn/propagate")


class Fleet:
    """A fleet that is up."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.places = Places(plan.name)
        self.hosts = {name: Host(plan, name) for name in plan.shape.hosts}

    def each(self, action: Callable[[Host], object], names: Iterable[str] = ()) -> None:
        """Do something with all hosts, or with these, at the same time."""
        hosts = [self.hosts[name] for name in names] or list(self.hosts.values())
        with ThreadPoolExecutor(len(hosts)) as pool:
            list(pool.map(action, hosts))

    def keep_packages(self) -> int:
        """Keep what the hosts have downloaded for the next fleet; how many packages were new."""
        uppers = [host.disk / "upper" for host in self.hosts.values()]
        return sum(image.keep_packages(self.plan.suite, upper) for upper in uppers)


def find(name: str) -> Fleet:
    """The fleet of this name that is up."""
    try:
        told = json.loads(Places(check_name(name)).plan.read_text())
    except FileNotFoundError:
        others = ", ".join(running()) or "none"
        raise Refused(f"No rehearsal named {name} is up; up are: {others}.") from None
    shape = SHAPES[told["shape"]]
    return Fleet(Plan(name, shape, told["suite"], IPv4Network(told["network"])))


def up(name: str, shape: Shape, suite: str) -> Fleet:
    """Start a fleet; what a crash left of an earlier one of this name is removed first."""
    check_name(name)
    base = image.image_for(suite)
    with locked(STATE / f".{name}"):
        if name in running():
            raise Refused(f"A rehearsal named {name} is up already.")
        return _up(name, shape, suite, base)


def _up(name: str, shape: Shape, suite: str, base: Path) -> Fleet:
    try:
        with locked(_LOCK):
            _remove(name)
            plan = Plan(name, shape, suite, free_network(network.taken()))
            Places(name).state.mkdir(parents=True)
            limits.raise_them()
            network.bring_up(plan)
        fleet = Fleet(plan)
        _start(fleet, base)
    except BaseException:
        with locked(_LOCK):
            _remove(name)
        raise
    return fleet


def _start(fleet: Fleet, base: Path) -> None:
    plan, places = fleet.plan, fleet.places
    key = identity.make_key(places)
    acme_ca = identity.make_acme_server_certificate(places, plan.gateway)
    world.start(plan)
    host_keys = _boot(fleet, base, key, acme_ca)
    customer = identity.make_customer(places) if plan.binds_accounts else {}
    public = inventory.Public(key, identity.make_release_key(places))
    inventory.write(plan, host_keys, public, {**identity.make_secrets(places), **customer})
    told = {"shape": plan.shape.name, "suite": plan.suite, "network": str(plan.network)}
    places.plan.write_text(json.dumps(told))


def _boot(fleet: Fleet, base: Path, key: str, acme_ca: str) -> dict[str, str]:
    """All hosts, bare; their public keys."""
    host_keys: dict[str, str] = {}

    def start(host: Host) -> None:
        host_keys[host.name] = host.make_disk(base, key, acme_ca)
        host.power_on()
        host.wait_until_reachable()

    fleet.each(start)
    return host_keys


def renew(fleet: Fleet) -> None:
    """Every host is gone with its disk, and bare ones are at their addresses.

    The world outside stays, and what the operator has: inventory, secrets, CA, release.
    """
    places = fleet.places
    _close_connections(fleet)
    fleet.keep_packages()
    fleet.each(Host.destroy)
    base = image.image_for(fleet.plan.suite)
    acme_ca = identity.acme_server_ca(places)
    inventory.know(fleet.plan, _boot(fleet, base, identity.make_key(places), acme_ca))


def down(name: str) -> None:
    """Leave nothing of a fleet behind, in whatever state it is; known by its name alone."""
    check_name(name)
    with locked(STATE / f".{name}"):
        if name in running():
            fleet = find(name)
            _close_connections(fleet)
            fleet.keep_packages()
        with locked(_LOCK):
            _remove(name)


def _close_connections(fleet: Fleet) -> None:
    """The masters of kept SSH connections outlive the playbook that opened them."""
    for socket in fleet.places.sockets.glob("*"):
        attempt("ssh", "-o", f"ControlPath={socket}", "-O", "exit", "host")


def _remove(name: str) -> None:
    places = Places(name)
    places.plan.unlink(missing_ok=True)
    cgroups.end(name)
    network.take_down(name)
    for mount in _mounts(places.disks):
        attempt("umount", "-l", mount)
    shutil.rmtree(places.disks, ignore_errors=True)
    shutil.rmtree(places.state, ignore_errors=True)
    for folder in _NSPAWN.glob(f"{name}-*"):
        shutil.rmtree(folder, ignore_errors=True)
    limits.restore()


def _mounts(folder: Path) -> list[Path]:
    rows = Path("/proc/self/mounts").read_text().splitlines()
    points = [Path(row.split()[1]) for row in rows]
    return sorted((point for point in points if point.is_relative_to(folder)), reverse=True)


def leftovers(name: str) -> list[str]:
    """What of a fleet is still on this machine, in words."""
    places = Places(name)
    found = network.leftovers(name)
    found += [f"process {pid}" for pid in sorted(cgroups.members(name))]
    found += [f"mount {point}" for point in _mounts(places.disks)]
    found += [str(path) for path in (places.disks, places.state) if path.exists()]
    found += [str(path) for path in cgroups.groups(name)]
    return found
