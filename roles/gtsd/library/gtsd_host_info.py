#!/usr/bin/python
"""Tells how the service stands on a host, all at once; changes nothing."""

from __future__ import annotations

# Imports stand where Ansible wants them: below what documents the module.
# ruff: noqa: E402

DOCUMENTATION = """
module: gtsd_host_info
short_description: Tell how the service stands on this host
description:
  - >-
    Whether an instance runs with what is on the disk is found by looking at the process itself, so
    a restart that a killed play left out is made up for by the next one.
options:
  version: {description: The release that should run., type: str, required: true}
  instances: {description: How many should run., type: int, required: true}
  worker_port: {description: Where the worker tells whether it is ready., type: int, required: true}
  keep: {description: How many releases to keep., type: int, default: 3}
  ignore:
    description: Variables whose change needs no restart.
    type: list
    elements: str
    default: []
"""
EXAMPLES = """
- name: Look how the service stands
  gtsd_host_info: {version: 1.4.0, instances: 2, worker_port: 3010}
"""
RETURN = """
tools: {description: Whether what unpacks releases is there., type: bool, returned: always}
apt: {description: Whether Ansible can ask the package manager., type: bool, returned: always}
user: {description: Whether the service's user is there., type: bool, returned: always}
folders: {description: Whether the settings have folders., type: bool, returned: always}
begun: {description: Whether the release is unpacked by halves., type: bool, returned: always}
complete: {description: Whether the release is unpacked in full., type: bool, returned: always}
archive: {description: SHA-256 of what was unpacked in full., type: str, returned: always}
settings: {description: Whether the release has settings of its own., type: bool, returned: always}
units: {description: Whether the release's units are in their places., type: bool, returned: always}
current: {description: The release that is switched on., type: str, returned: always}
releases: {description: Releases that are unpacked in full., type: list, returned: always}
surplus: {description: Releases that are kept no longer., type: list, returned: always}
reload: {description: Whether systemd has to read units anew., type: bool, returned: always}
missing: {description: Instances that are not enabled or do not run., type: list, returned: always}
stale: {description: Instances that run with something older., type: list, returned: always}
extra: {description: Instances beyond the wanted number., type: list, returned: always}
stand_ins: {description: Instances that something stands in for., type: list, returned: always}
not_ready: {description: Instances that are not ready., type: list, returned: always}
worker: {description: "missing, stale, not_ready or ready.", type: str, returned: always}
"""

import filecmp
import http.client
import pwd
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

_RELEASES = Path("/opt/gtsd/releases")
_CURRENT = Path("/opt/gtsd/current")
_SETTINGS = Path("/etc/gtsd/gtsd.env")
_CREDENTIALS = Path("/etc/gtsd/credentials")
_DROP_INS = [Path(f"/etc/systemd/system/{unit}.service.d") for unit in ("gtsd-api@", "gtsd-worker")]
_LOADED = Path("/run/credentials")
_SSH_KEYGEN = Path("/usr/bin/ssh-keygen")
_BY_HAND = {"owner_database_url", "monitor_database_url"}
_WORKER = "gtsd-worker.service"
_UNIT = re.compile(r"gtsd-(?:api|standin)@([1-9][0-9]*)\.(?:service|socket)")
_PROPERTIES = "Id,ActiveState,UnitFileState,MainPID,NeedDaemonReload"
_READY_WITHIN = 3.0


def variables(text: str) -> dict[str, str]:
    """What a file of NAME=value lines sets; the template writes no other kind."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def read(path: Path) -> str:
    """The text of a file, "" for one that is not there."""
    try:
        return path.read_text()
    except OSError:
        return ""


def has_user(name: str) -> bool:
    """Whether the system knows the user."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def in_place(release: Path) -> bool:
    """Whether all that the release has for /etc is there, byte for byte."""
    source = release / "etc"
    files = [path for path in source.rglob("*") if path.is_file()]
    places = {file: Path("/etc") / file.relative_to(source) for file in files}
    return bool(places) and all(
        place.is_file() and filecmp.cmp(file, place, shallow=False)
        for file, place in places.items()
    )


def complete_releases() -> list[str]:
    """Those that a host can be switched to at once."""
    return sorted(path.parent.name for path in _RELEASES.glob("*/.complete"))


def last_used(release: Path) -> float:
    """When the release was unpacked or, later, left for another: the last one is the way back."""
    mark = release / ".complete"
    return (mark if mark.exists() else release).stat().st_mtime


def surplus(current: str, wanted: str, keep: int) -> list[str]:
    """The releases beyond the number to keep that served longest ago, without those two."""
    if not _RELEASES.is_dir():
        return []
    releases = [path for path in _RELEASES.iterdir() if path.is_dir()]
    releases.sort(key=last_used, reverse=True)
    # The wanted one has its place before it is unpacked: the next run would find one too many.
    needed = {current, wanted} - {""}
    others = [path.name for path in releases if path.name not in needed]
    return others[max(0, keep - len(needed)) :]


def show(module: AnsibleModule, units: list[str]) -> dict[str, dict[str, str]]:
    """What systemd says of each unit, by its name."""
    command = ["systemctl", "show", f"--property={_PROPERTIES}", *units]
    _, out, _ = module.run_command(command, check_rc=True)
    shown = [variables(block) for block in out.split("\n\n") if block.strip()]
    return {properties["Id"]: properties for properties in shown}


def loaded(module: AnsibleModule, *words: str) -> list[str]:
    """Names of units that systemd has loaded and that the words choose."""
    command = ["systemctl", "list-units", "--plain", "--no-legend", *words]
    _, out, _ = module.run_command(command, check_rc=True)
    return [line.split()[0] for line in out.splitlines() if line.strip()]


def numbers_of(names: list[str]) -> set[int]:
    """The instances whose units these are."""
    return {int(match[1]) for match in map(_UNIT.fullmatch, names) if match}


def known_instances(module: AnsibleModule) -> set[int]:
    """Those that are loaded, running or not, or enabled."""
    enabled = Path("/etc/systemd/system").glob("*.target.wants/gtsd-api@*")
    names = loaded(module, "--all", "gtsd-api@*")
    return numbers_of(names + [link.name for link in enabled])


def is_stale(unit: str, pid: str, wanted: dict[str, str]) -> bool:
    """Whether the process was started with other settings, secrets or another release."""
    try:
        environ = Path("/proc", pid, "environ").read_bytes()
    except OSError:
        return True
    pairs = (item.partition("=") for item in environ.decode(errors="replace").split("\0"))
    has = {name: value for name, _, value in pairs}
    if any(has.get(name, "") != value for name, value in wanted.items()):
        return True
    folder = _CREDENTIALS.iterdir() if _CREDENTIALS.is_dir() else ()
    files = [file for file in folder if file.name not in _BY_HAND]
    return any(read(file) != read(_LOADED / unit / file.name) for file in files)


def is_ready(port: int) -> bool:
    """Whether what listens there says that it can do its work."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_READY_WITHIN)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def is_missing(unit: dict[str, str]) -> bool:
    """Whether it does not run, or would not after a boot."""
    return unit["ActiveState"] != "active" or unit["UnitFileState"] != "enabled"


def instances(module: AnsibleModule, count: int, wanted: dict[str, str]) -> dict[str, object]:
    """Which ones have to be started, restarted or stopped."""
    numbers = list(range(1, count + 1))
    units = show(
        module, [f"gtsd-api@{n}.{kind}" for n in numbers for kind in ("service", "socket")]
    )
    missing, stale = [], []
    for number in numbers:
        name = f"gtsd-api@{number}.service"
        both = [units[name], units[f"gtsd-api@{number}.socket"]]
        if any(map(is_missing, both)):
            missing.append(number)
        elif is_stale(name, units[name]["MainPID"], wanted):
            stale.append(number)
    return {
        "missing": missing,
        "stale": stale,
        "extra": sorted(known_instances(module) - set(numbers)),
        "stand_ins": sorted(numbers_of(loaded(module, "--state=active", "gtsd-standin@*"))),
        "reload": any(unit["NeedDaemonReload"] == "yes" for unit in units.values()),
        "not_ready": [n for n in numbers if n not in missing and not is_ready(int(f"300{n}"))],
    }


def worker(unit: dict[str, str], port: int, wanted: dict[str, str]) -> str:
    """How the worker stands: missing, stale, not_ready or ready."""
    if is_missing(unit):
        return "missing"
    if is_stale(_WORKER, unit["MainPID"], wanted):
        return "stale"
    return "ready" if is_ready(port) else "not_ready"


def main() -> None:
    """Look, and tell."""
    # Here, so that the rest can be tried without Ansible.
    from ansible.module_utils.basic import AnsibleModule

    module = AnsibleModule(
        argument_spec={
            "version": {"type": "str", "required": True},
            "instances": {"type": "int", "required": True},
            "worker_port": {"type": "int", "required": True},
            "keep": {"type": "int", "default": 3},
            "ignore": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    version = module.params["version"]
    release = _RELEASES / version
    archive = read(release / ".complete").strip()
    current = _CURRENT.resolve().name if _CURRENT.is_symlink() else ""
    wanted = {**variables(read(_SETTINGS)), **variables(read(release / "release.env"))}
    for name in module.params["ignore"]:
        wanted.pop(name, None)
    found = instances(module, module.params["instances"], wanted)
    unit = show(module, [_WORKER])[_WORKER]
    found["reload"] = found["reload"] or unit["NeedDaemonReload"] == "yes"
    module.exit_json(
        changed=False,
        tools=_SSH_KEYGEN.exists() and all(map(find_spec, ("ensurepip", "packaging"))),
        apt=find_spec("apt") is not None,
        user=has_user("gtsd"),
        folders=_SETTINGS.parent.is_dir() and all(path.is_dir() for path in _DROP_INS),
        begun=release.exists() and not archive,
        complete=bool(archive),
        archive=archive,
        settings=(release / "settings.env").is_file(),
        units=in_place(release),
        current=current,
        releases=complete_releases(),
        surplus=surplus(current, version, module.params["keep"]),
        worker=worker(unit, module.params["worker_port"], wanted),
        **found,
    )


if __name__ == "__main__":
    main()
