"""A group of processes for each host, in every hierarchy that the machine has.

What runs for a fleet is in its group from its first moment, so whatever a crash leaves behind is
found there and nowhere else.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.fleet.machines.commands import wait
from tests.fleet.machines.places import CGROUP

ROOT = Path("/sys/fs/cgroup")
# As they are named where version 1 is mounted; "unified" is version 2 beside them.
_HIERARCHIES = (
    "cpu", "cpuacct", "memory", "devices", "freezer", "blkio", "pids", "systemd", "unified",
)  # fmt: skip
# Hosts are machines of their own. Without a weight all of them together have as much of the
# processor as an operator's one playbook, during which they are to serve.
_TIMES_A_PLAYBOOK = 8
_ENTER = 'while [ "$1" != -- ]; do echo 0 >"$1" || exit; shift; done; shift; exec "$@"'


def is_pure() -> bool:
    """Whether the machine has one hierarchy of version 2, as Debian has by itself."""
    return (ROOT / "cgroup.controllers").exists()


def _tops() -> list[Path]:
    if is_pure():
        return [ROOT]
    return [ROOT / name for name in _HIERARCHIES if (ROOT / name).is_dir()]


def make(fleet: str, member: str) -> list[Path]:
    """The groups of one host, made; a process enters by writing 0 into their cgroup.procs."""
    for top in _tops():
        (top / CGROUP / fleet / member).mkdir(parents=True, exist_ok=True)
    if is_pure():
        controllers = (ROOT / "cgroup.controllers").read_text().split()
        wanted = " ".join(f"+{name}" for name in controllers)
        for folder in (ROOT, ROOT / CGROUP, ROOT / CGROUP / fleet):
            (folder / "cgroup.subtree_control").write_text(wanted)
        (ROOT / CGROUP / "cpu.weight").write_text(str(100 * _TIMES_A_PLAYBOOK))
    else:
        (ROOT / "cpu" / CGROUP / "cpu.shares").write_text(str(1024 * _TIMES_A_PLAYBOOK))
    return [top / CGROUP / fleet / member for top in _tops()]


def inside(fleet: str, member: str) -> list[str]:
    """What a command is put behind to run in such a group."""
    groups = [str(group / "cgroup.procs") for group in make(fleet, member)]
    return ["/bin/sh", "-c", _ENTER, member, *groups, "--"]


def members(fleet: str, member: str = "") -> set[int]:
    """Every process of a fleet, or of one host of it."""
    return {pid for top in _tops() for pid in _pids(top / CGROUP / fleet / member)}


def _pids(top: Path) -> Iterator[int]:
    for folder in _folders(top):
        # A group may end while it is being looked at.
        with suppress(OSError):
            yield from map(int, (folder / "cgroup.procs").read_text().split())


def _folders(top: Path) -> list[Path]:
    """The folder and all below it, the deepest first."""
    return [Path(path) for path, _, _ in os.walk(top, topdown=False)]


def end(fleet: str, member: str = "") -> bool:
    """Kill what is in the group and remove it; whether nothing is left."""

    def gone() -> bool:
        for pid in members(fleet, member) - {0, os.getpid()}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not members(fleet, member)

    empty = wait(gone, 15)
    for top in _tops():
        for folder in _folders(top / CGROUP / fleet / member):
            with suppress(OSError):
                folder.rmdir()
        # The common parent goes with the last fleet.
        with suppress(OSError):
            (top / CGROUP).rmdir()
    return empty


def memory_mb(fleet: str, member: str) -> int | None:
    """Memory in use by a host without its file cache, where the machine counts it."""
    base = ROOT if is_pure() else ROOT / "memory"
    try:
        rows = (base / CGROUP / fleet / member / "memory.stat").read_text().splitlines()
    except OSError:
        return None
    stat = {key: int(value) for key, value in (row.split() for row in rows)}
    used = stat["anon"] + stat.get("shmem", 0) if is_pure() else stat["total_rss"]
    return (used + (0 if is_pure() else stat.get("total_shmem", 0))) // 2**20


def groups(fleet: str) -> list[Path]:
    """The folders of a fleet that are there."""
    return [path for top in _tops() if (path := top / CGROUP / fleet).exists()]
