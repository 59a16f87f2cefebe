#!/usr/bin/python
"""Tells from nginx's access log how requests went in two spans of time; changes nothing."""

# Imports stand where Ansible wants them: below what documents the module.
# ruff: noqa: E402

DOCUMENTATION = """
module: nginx_traffic_info
short_description: Tell how requests went, from nginx's access log
description:
  - Reads the newest file and the one before it; lines are JSON with time, status and seconds.
  - Times are in seconds, points in time since 1970.
options:
  log: {description: The newest file., type: path, default: /var/log/nginx/access.log}
  since: {description: Where the later span begins., type: float, required: true}
  before: {description: Length of the one that ends there., type: float, default: 3600}
"""
EXAMPLES = """
- name: Look how requests went since the release
  nginx_traffic_info: {since: 1795867200}
"""
RETURN = """
after: {description: "requests, failed (5xx), p95 of the later span.", type: dict, returned: always}
before: {description: The same of the earlier span., type: dict, returned: always}
"""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any


def read(log: Path) -> Iterator[dict[str, Any]]:
    """The lines of the file before and of the newest; what is no JSON is left out."""
    for path in (log.with_name(f"{log.name}.1"), log):
        if not path.exists():
            continue
        with path.open(errors="replace") as lines:
            for line in lines:
                try:
                    yield json.loads(line)
                except ValueError:
                    continue


def summary(seen: list[tuple[int, float]]) -> dict[str, Any]:
    """Of statuses and durations; p95 is the nearest rank, None without requests."""
    durations = sorted(seconds for _, seconds in seen)
    rank = max(0, -(-len(durations) * 95 // 100) - 1)
    return {
        "requests": len(seen),
        "failed": sum(status >= 500 for status, _ in seen),
        "p95": durations[rank] if durations else None,
    }


def spans(
    lines: Iterator[dict[str, Any]], since: float, before: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What came from then on, and what in the span before."""
    later: list[tuple[int, float]] = []
    earlier: list[tuple[int, float]] = []
    for line in lines:
        at = datetime.fromisoformat(line["time"]).timestamp()
        if at >= since:
            later.append((line["status"], line["seconds"]))
        elif at >= since - before:
            earlier.append((line["status"], line["seconds"]))
    return summary(later), summary(earlier)


def main() -> None:
    """Look, and tell."""
    # The rest is tried where there is no Ansible.
    from ansible.module_utils.basic import AnsibleModule

    module = AnsibleModule(
        argument_spec={
            "log": {"type": "path", "default": "/var/log/nginx/access.log"},
            "since": {"type": "float", "required": True},
            "before": {"type": "float", "default": 3600.0},
        },
        supports_check_mode=True,
    )
    given = module.params
    after, before = spans(read(Path(given["log"])), given["since"], given["before"])
    module.exit_json(changed=False, after=after, before=before)


if __name__ == "__main__":
    main()
