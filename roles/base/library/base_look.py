#!/usr/bin/python
"""Look once at all that role base has to know of a host, instead of one module a question."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

DOCUMENTATION = r"""
module: base_look
short_description: Tell the state of units, which paths exist and what commands print
description:
  - Changes nothing. One execution answers what would else take a dozen.
  - A unit is C(behind) when one of its files was written after the unit last started or reloaded,
    which is what a run that was killed before its handlers leaves; or when it is off although
    none of its own conditions keeps it off (chrony has no business in a container without a clock).
options:
  units:
    description: Name of a unit to the files that it reads.
    type: dict
    default: {}
  paths:
    description: Paths whose presence is asked for.
    type: list
    elements: str
    default: []
  files:
    description: Paths whose contents, mode and owner are asked for.
    type: list
    elements: str
    default: []
  packages:
    description: Whether the packages of the host are asked for, which takes apt's module a second.
    type: bool
    default: false
  commands:
    description: Name of a question to the command that answers it without changing anything.
    type: dict
    default: {}
author: GTSD
"""

EXAMPLES = r"""
- name: Look at the host
  base_look:
    units:
      ssh.service: [/etc/ssh/sshd_config.d/00-gtsd.conf]
    paths: [/etc/cloud/cloud.cfg.d]
    commands:
      sshd: [/usr/sbin/sshd, -T]
"""

RETURN = r"""
behind:
  description: The units that are off, not enabled, or older than their files.
  type: list
units:
  description: What systemd says of each unit that is installed.
  type: dict
paths:
  description: Those of the paths that exist.
  type: list
files:
  description: The path, sha1 sum, mode and owner of each of the files that exists.
  type: list
packages:
  description: The names of all that is installed, where they were asked for.
  type: list
commands:
  description: Return code and output of each command; a command that is not installed has 127.
  type: dict
"""

PROPERTIES = (
    "Id,LoadState,ActiveState,UnitFileState,ConditionResult,ConditionTimestamp,StateChangeTimestamp"
)
# `static` and the like start with something else and cannot be enabled by themselves.
NOT_ENABLED = ("disabled", "masked", "masked-runtime", "enabled-runtime", "bad")


def parse_time(text: str) -> float:
    """Seconds since 1970 of what systemd prints with --timestamp=us+utc; 0 for never."""
    if not text or text == "n/a":
        return 0.0
    day, clock = text.split()[1:3]
    return datetime.strptime(f"{day} {clock}+0000", "%Y-%m-%d %H:%M:%S.%f%z").timestamp()


def parse_units(output: str) -> dict[str, dict[str, str]]:
    """Properties of each unit of `systemctl show`, by the unit's name."""
    blocks = (block.splitlines() for block in output.split("\n\n"))
    shown = [dict(line.partition("=")[::2] for line in lines if line) for lines in blocks]
    return {unit["Id"]: unit for unit in shown if unit.get("LoadState") in ("loaded", "masked")}


def is_behind(unit: Mapping[str, str], written: float) -> bool:
    """Whether the unit has to be enabled, started, or made to read its files again."""
    if unit["UnitFileState"] in NOT_ENABLED:
        return True
    if unit["ActiveState"] != "active":
        asked = parse_time(unit["ConditionTimestamp"]) > 0
        return not (asked and unit["ConditionResult"] == "no")
    return written > parse_time(unit["StateChangeTimestamp"])


def last_written(files: Iterable[str]) -> float:
    """When the youngest of the files that exist was written."""
    return max((Path(name).stat().st_mtime for name in files if Path(name).exists()), default=0.0)


def look_at(name: str) -> dict[str, str]:
    """What tells whether a file is as it was written."""
    path = Path(name)
    status = path.stat()
    # Not for secrecy: the controller's hash of the same text is compared with it.
    checksum = hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
    owner = f"{status.st_uid}:{status.st_gid}"
    mode = f"{stat.S_IMODE(status.st_mode):04o}"
    return {"path": name, "checksum": checksum, "mode": mode, "owner": owner}


def parse_packages(output: str) -> list[str]:
    """Names, of lines with a state and a name, of what is installed in full."""
    lines = (line.split() for line in output.splitlines())
    return [name for state, name in lines if state == "installed"]


def main() -> None:
    """Answer the questions."""
    # Here, so that the rest can be tried without Ansible.
    from ansible.module_utils.basic import AnsibleModule

    module = AnsibleModule(
        argument_spec={
            "units": {"type": "dict", "default": {}},
            "paths": {"type": "list", "elements": "str", "default": []},
            "files": {"type": "list", "elements": "str", "default": []},
            "packages": {"type": "bool", "default": False},
            "commands": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    asked = module.params["units"]
    units: dict[str, dict[str, str]] = {}
    if asked:
        argv = ["systemctl", "show", "--timestamp=us+utc", f"--property={PROPERTIES}", *asked]
        units = parse_units(module.run_command(argv, check_rc=True)[1])
    packages = []
    if module.params["packages"]:
        argv = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\\n"]
        packages = parse_packages(module.run_command(argv, check_rc=True)[1])
    answers = {}
    for name, argv in module.params["commands"].items():
        code, out, error = 127, "", f"{argv[0]} is not installed"
        if Path(argv[0]).exists():
            code, out, error = module.run_command(argv)
        answers[name] = {"rc": code, "stdout": out, "stderr": error}
    module.exit_json(
        changed=False,
        units=units,
        behind=[n for n, unit in units.items() if is_behind(unit, last_written(asked[n]))],
        paths=[path for path in module.params["paths"] if Path(path).exists()],
        files=[look_at(path) for path in module.params["files"] if Path(path).is_file()],
        packages=packages,
        commands=answers,
    )


if __name__ == "__main__":
    main()
