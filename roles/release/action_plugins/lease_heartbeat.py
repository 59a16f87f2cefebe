"""Runs a command on a host now, and again every few seconds as long as the playbook runs.

A lease is only worth something if it ends with its holder: the beats come from a process of the
controller that looks at the playbook's own process, so that even `kill -9` stops them.
"""

from __future__ import annotations

import os
import select
import shlex
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

_ARGUMENTS = {
    "command": {"type": "list", "elements": "str", "required": True},
    "every": {"type": "float", "default": 15.0},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """``command``, words without a shell, and ``every`` so many seconds."""

    TRANSFERS_FILES = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The first beat has to succeed; a later one that fails is the last."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(_ARGUMENTS)
        command = shlex.join(given["command"])
        if self._task.check_mode:
            return result
        first = self._low_level_execute_command(command)
        if first["rc"] != 0:
            raise AnsibleActionFail((first["stdout"] + first["stderr"]).strip())
        self._keep_beating(command, given["every"])
        return result

    def _keep_beating(self, command: str, every: float) -> None:
        # This is one of Ansible's workers, which ends with the task; its parent is the playbook.
        playbook = os.pidfd_open(os.getppid())
        child = os.fork()
        if child:
            os.close(playbook)
            os.waitpid(child, 0)
            return
        try:
            os.setsid()
            if os.fork() == 0:
                self._beat(command, every, playbook)
        finally:
            # Never back into what the worker would do next.
            os._exit(0)

    def _beat(self, command: str, every: float, playbook: int) -> None:
        # What Ansible prints and reads is not ours: an open pipe would keep its reader waiting.
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        while not select.select([playbook], [], [], every)[0]:
            if self._low_level_execute_command(command)["rc"] != 0:
                break
