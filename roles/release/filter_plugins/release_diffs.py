"""What a release changes of the settings, for its plan and its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def settings_diffs(hostvars: Mapping[str, Any], hosts: list[str]) -> list[dict[str, str]]:
    """Host, title, and the text before and after, of each host whose settings change.

    A template's result has one difference or a list of them: of the text, and of the file's rights.
    """
    found = []
    for host in hosts:
        change = hostvars[host].get("__gtsd_settings_change") or {}
        diffs = change.get("diff") or []
        for diff in [diffs] if isinstance(diffs, Mapping) else diffs:
            before, after = diff.get("before"), diff.get("after")
            if isinstance(before, str) and isinstance(after, str) and before != after:
                title = f"Settings of {host}"
                found.append({"host": host, "title": title, "before": before, "after": after})
    return found


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The names that templates use."""
        return {"settings_diffs": settings_diffs}
