#!/usr/bin/python
"""Restarts instances of the API while stand-ins answer at their ports, so that nobody waits."""

from __future__ import annotations

# Imports stand where Ansible wants them: below what documents the module.
# ruff: noqa: E402

DOCUMENTATION = """
module: gtsd_handover
short_description: Restart instances of the API while stand-ins answer at their ports
description:
  - >-
    A stand-in is a second process at the port of an instance, started with what is on the disk now.
    When all of them answer, the instances are told so and restarted, all at once, and then the
    stand-ins end.
  - >-
    It is one task on purpose: a controller that is killed meanwhile leaves nothing halfway.
  - Where a stand-in does not start, no instance is restarted.
options:
  stand_ins:
    description: Instances whose stand-ins are started anew.
    type: list
    elements: int
    default: []
  alone:
    description: Whether the instances of these stand-ins stop, which then have all their requests.
    type: bool
    default: false
  restart:
    description: Instances that are restarted; they have stand-ins then.
    type: list
    elements: int
    default: []
  version: {description: The release that has to answer afterwards., type: str, required: true}
  timeout: {description: "How long that may take, in seconds.", type: int, default: 60}
"""
EXAMPLES = """
- name: Let the new release answer the requests of one instance
  gtsd_handover: {version: 1.4.0, stand_ins: [1], alone: true}
- name: Let it answer all of them
  gtsd_handover: {version: 1.4.0, stand_ins: [2], restart: [1, 2]}
"""
RETURN = """
msg: {description: What did not go as it should., type: str, returned: failure}
"""

import http.client
import json
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

_BETWEEN_S = 0.1
_READY_WITHIN_S = 3.0


class HandoverError(Exception):
    """What did not go as it should, in one sentence."""


def stand_in(instance: int) -> str:
    """The unit that stands in for an instance."""
    return f"gtsd-standin@{instance}.service"


def instance_unit(instance: int) -> str:
    """The unit of an instance."""
    return f"gtsd-api@{instance}.service"


def systemctl(module: AnsibleModule, *words: str) -> None:
    """Run it; raises HandoverError."""
    rc, _, err = module.run_command(["systemctl", *words])
    if rc != 0:
        raise HandoverError(err.strip() or f"systemctl {' '.join(words)} ended with {rc}.")


def catches(pid: str, number: int) -> bool:
    """Whether a process has a handler for a signal: older releases would end by it (proc(5))."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return bool(int(lines["SigCgt"], 16) >> (number - 1) & 1)


def tell_stood_in(module: AnsibleModule, instances: list[int]) -> None:
    """That others answer at their ports, so that they need not wait for proxies when they stop."""
    for unit in map(instance_unit, instances):
        _, pid, _ = module.run_command(["systemctl", "show", "--property=MainPID", "--value", unit])
        if catches(pid.strip(), signal.SIGUSR1):
            systemctl(module, "kill", "--kill-whom=main", "--signal=SIGUSR1", unit)


def answer(instance: int) -> tuple[int, str]:
    """Status and version of what answers at the port of an instance; 0 where nothing does."""
    port = int(f"300{instance}")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_READY_WITHIN_S)
    try:
        connection.request("GET", "/ready")
        response = connection.getresponse()
        return response.status, str(json.load(response).get("version"))
    except (OSError, ValueError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def wait_until_ready(instance: int, version: str, until: float) -> None:
    """Raises HandoverError where the instance, alone at its port, does not get ready in time."""
    unit = instance_unit(instance)
    while True:
        status, served = answer(instance)
        if status == http.client.OK:
            break
        if time.monotonic() > until:
            raise HandoverError(f"{unit} answers /ready with {status or 'nothing'}.")
        time.sleep(_BETWEEN_S)
    if served != version:
        raise HandoverError(f"{unit} answers as {served}, not as {version}.")


def hand_over(module: AnsibleModule) -> None:
    """Do it; raises HandoverError."""
    wanted = module.params
    standing = [stand_in(n) for n in wanted["stand_ins"]]
    if standing:
        try:
            systemctl(module, "restart", *standing)
        except HandoverError:
            systemctl(module, "stop", "--no-block", *standing)
            raise
    tell_stood_in(module, wanted["restart"] or (wanted["stand_ins"] if wanted["alone"] else []))
    if wanted["alone"]:
        systemctl(module, "stop", *(instance_unit(n) for n in wanted["stand_ins"]))
    if not wanted["restart"]:
        return
    systemctl(module, "restart", *(instance_unit(n) for n in wanted["restart"]))
    # Each of them answers what it has in work, which nobody has to wait for.
    systemctl(module, "stop", "--no-block", *(stand_in(n) for n in wanted["restart"]))
    until = time.monotonic() + wanted["timeout"]
    for instance in wanted["restart"]:
        wait_until_ready(instance, wanted["version"], until)


def main() -> None:
    """Hand over, and tell what did not work."""
    # Here, so that the rest can be tried without Ansible.
    from ansible.module_utils.basic import AnsibleModule

    numbers = {"type": "list", "elements": "int", "default": []}
    module = AnsibleModule(
        argument_spec={
            "stand_ins": numbers,
            "alone": {"type": "bool", "default": False},
            "restart": numbers,
            "version": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    changed = bool(module.params["stand_ins"] or module.params["restart"])
    if changed and not module.check_mode:
        try:
            hand_over(module)
        except HandoverError as error:
            module.fail_json(msg=str(error))
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
