"""Why a release failed, out of what the failed tasks of all hosts said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_UNKNOWN = "a host could not be reached."
# What Ansible says of a command that failed; the command itself has said more.
_SAYS_NOTHING = "non-zero return code"
_LINES = 3


def failure_reasons(hostvars: Mapping[str, Any], hosts: list[str]) -> str:
    """Each different reason once, in the order of the hosts."""
    results = [hostvars[host].get("ansible_failed_result") for host in hosts]
    reasons = [_reason(result) for result in results if isinstance(result, Mapping)]
    return " ".join(dict.fromkeys(reason for reason in reasons if reason)) or _UNKNOWN


def _reason(result: Mapping[str, Any]) -> str:
    message = str(result.get("msg") or "")
    if message != _SAYS_NOTHING:
        return message
    said = str(result.get("stderr") or result.get("stdout") or "").strip().splitlines()
    command = result.get("cmd") or []
    program = command if isinstance(command, str) else " ".join(map(str, command[:3]))
    return f"{program} …: {' '.join(said[-_LINES:]) or message}"


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The names that templates use."""
        return {"failure_reasons": failure_reasons}
