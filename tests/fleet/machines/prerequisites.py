"""What a rehearsal needs of this machine: one sentence for each thing that is missing, at once."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.fleet.machines import cgroups, image, packages
from tests.fleet.machines.commands import Refused, attempt, run, say
from tests.fleet.machines.places import CGROUP, STORE
from tests.fleet.machines.shapes import Shape

# A program of each Debian package.
PACKAGES = {
    "curl": "curl",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "nft": "nftables",
    "pebble": "pebble",
    "setsid": "util-linux",
    "ssh-keygen": "openssh-client",
    "systemd-nspawn": "systemd-container",
    "update-ca-certificates": "ca-certificates",
}
# What only tests of a fleet need besides.
PACKAGES_OF_TESTS = {"testssl": "testssl.sh"}
_SUPPORTED = ("12", "13")
_NEEDS_ROOT = "A rehearsal needs root, since it mounts disks and makes networks."


def check(shape: Shape, suite: str, packages_by_program: Mapping[str, str] = PACKAGES) -> None:
    """Install what can be installed, and tell everything else that is missing."""
    faults = _first_of_all()
    if not faults:
        faults = _install(missing_packages(shutil.which, packages_by_program))
    if not faults:
        faults = [fault for look in _LOOKS if (fault := look())]
        faults += [fault for fault in (_memory(shape), _disk(shape)) if fault]
    if faults:
        raise Refused("\n".join(faults))
    image.check_suite_known(suite)


def check_root() -> None:
    """Enough for a fleet that is up."""
    if os.geteuid() != 0:
        raise Refused(_NEEDS_ROOT)


def _first_of_all() -> list[str]:
    """Without these, nothing else can be looked at."""
    faults = []
    if os.geteuid() != 0:
        faults.append(_NEEDS_ROOT)
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    if release.get("ID") != "debian" or release.get("VERSION_ID") not in _SUPPORTED:
        has = release.get("PRETTY_NAME", "something else")
        faults.append(f"A rehearsal needs Debian 12 or 13; this machine has {has}.")
    return faults


def missing_packages(
    find: Callable[[str], str | None], packages_by_program: Mapping[str, str] = PACKAGES
) -> list[str]:
    """Debian's names of those whose program is not there."""
    rows = packages_by_program.items()
    return sorted({package for program, package in rows if not find(program)})


def _install(missing: list[str]) -> list[str]:
    if not missing:
        return []
    names = " ".join(missing)
    say(f"installing {names} (once)")
    install = ("apt-get", "-q", "-y", "install", "--no-install-recommends", *missing)
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        run("apt-get", "-q", "update")
        run(*install, env=quiet)
    except Refused as error:
        return [f"The packages {names} are missing and could not be installed: {error}"]
    return []


def _overlay() -> str | None:
    STORE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STORE, prefix=".probe-") as name:
        folders = [Path(name, part) for part in ("lower", "upper", "work", "root")]
        for folder in folders:
            folder.mkdir()
        lower, upper, work, root = folders
        options = f"lowerdir={lower},upperdir={upper},workdir={work},volatile"
        if not attempt("mount", "-t", "overlay", "probe", "-o", options, root):
            return f"This kernel or this container refuses an overlay mount below {STORE}."
        attempt("umount", root)
    return None


def _namespaces() -> str | None:
    probe = f"gtsd-probe-{os.getpid()}"
    if not attempt("ip", "netns", "add", probe):
        return "This kernel or this container refuses a network namespace (`ip netns add`)."
    attempt("ip", "netns", "del", probe)
    return None


def _bridge() -> str | None:
    probe = f"grp{os.getpid()}"
    if not attempt("ip", "link", "add", probe, "type", "bridge"):
        return "This kernel or this container refuses a bridge (`ip link add … type bridge`)."
    attempt("ip", "link", "del", probe)
    return None


def _nftables() -> str | None:
    table = f"gtsd_probe_{os.getpid()}"
    rules = (
        f"table ip {table} {{ chain probe {{ type nat hook postrouting priority 100;"
        " ip saddr 192.0.2.0/24 masquerade; }\n}\n"
    )
    try:
        run("nft", "-f", "-", stdin=rules)
    except Refused:
        return "This kernel or this container refuses nftables rules with masquerading."
    attempt("nft", "delete", "table", "ip", table)
    return None


def _firewall() -> str | None:
    told = json.loads(run("nft", "--json", "list", "chains"))
    chains = [entry["chain"] for entry in told["nftables"] if "chain" in entry]
    return closed_chain(chains)


def closed_chain(chains: list[dict[str, str]]) -> str | None:
    """A firewall of this machine that our own rules cannot open."""
    for chain in chains:
        if chain.get("hook") in {"forward", "input"} and chain.get("policy") == "drop":
            name = f"{chain['family']} {chain['table']} {chain['name']}"
            return (
                f"This machine's firewall drops what it does not know (chain {name}), so hosts"
                " would reach neither packages nor the certificate authority."
            )
    return None


def _cgroups() -> str | None:
    if not cgroups.is_pure() and not (cgroups.ROOT / "unified").is_dir():
        return f"This machine mounts no control groups of version 2 at {cgroups.ROOT}."
    try:
        cgroups.make(".probe", str(os.getpid()))
    except OSError as error:
        return f"Control groups cannot be made in {cgroups.ROOT}/…/{CGROUP}: {error.strerror}."
    finally:
        cgroups.end(".probe")
    return None


def _resolver() -> str | None:
    file = packages.resolver_file()
    if not packages.nameservers(file.read_text()):
        return f"{file} names no server that hosts beside this machine could ask."
    return None


def _port() -> str | None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            # An address that only fails if somebody holds the port on all addresses.
            server.bind(("127.0.0.98", 443))
        except OSError as error:
            return f"Port 443 of this machine is taken on all addresses: {error.strerror}."
    return None


def _memory(shape: Shape) -> str | None:
    rows = dict(row.split(":") for row in Path("/proc/meminfo").read_text().splitlines())
    free = int(rows["MemAvailable"].split()[0]) // 1024
    return _too_little("memory", free, shape.memory_mb, shape)


def _disk(shape: Shape) -> str | None:
    free = shutil.disk_usage(STORE).free // 2**20
    return _too_little(f"disk below {STORE}", free, shape.disk_mb, shape)


def _too_little(what: str, free_mb: int, needed_mb: int, shape: Shape) -> str | None:
    if free_mb >= needed_mb:
        return None
    return f"The shape {shape.name} needs {needed_mb} MB of {what}, and {free_mb} MB are free."


_LOOKS: tuple[Callable[[], str | None], ...] = (
    _overlay,
    _namespaces,
    _bridge,
    _nftables,
    _firewall,
    _cgroups,
    _resolver,
    _port,
)
