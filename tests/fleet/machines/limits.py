"""Settings of this machine's kernel that fleets need otherwise, and what they were before."""

from __future__ import annotations

import json
from pathlib import Path

from tests.fleet.machines.places import STATE

_PROC = Path("/proc/sys")
_BEFORE = STATE / ".before.json"
# Every host's systemd watches files, and all of it counts as root's; the usual 128 are five hosts.
_AT_LEAST = {
    "net/ipv4/ip_forward": 1,
    "fs/inotify/max_user_instances": 2048,
    "fs/inotify/max_user_watches": 65536,
}


def raise_them() -> None:
    """Higher where they are lower; noted first, so that a crash can be cleaned up after."""
    now = {name: int((_PROC / name).read_text()) for name in _AT_LEAST}
    if not _BEFORE.exists():
        _BEFORE.write_text(json.dumps(now))
    for name, least in _AT_LEAST.items():
        if now[name] < least:
            (_PROC / name).write_text(str(least))


def restore() -> None:
    """As they were, once no fleet is left."""
    fleets = [path for path in STATE.iterdir() if path.is_dir()] if STATE.exists() else []
    if _BEFORE.exists() and not fleets:
        for name, value in json.loads(_BEFORE.read_text()).items():
            (_PROC / name).write_text(str(value))
        _BEFORE.unlink()
