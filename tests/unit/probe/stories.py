"""Runs as they may have been, for the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NOON = 1795867200
RATE = 20


def row(at: float, **fields: Any) -> dict[str, Any]:
    """One request, answered in ten milliseconds."""
    usual = {
        "scheduled": at,
        "started": at,
        "seconds": 0.010,
        "kind": "read",
        "slow": False,
        "protocol": "HTTP/2",
        "connection": "kept",
        "method": "GET",
        "route": "/v1/tasks/today",
        "status": 200,
        "address": "10.0.0.5",
        "write": "",
        "reason": None,
        "failure": None,
    }
    return {**usual, **fields}


def marks(hosts: int = 4, instances: int = 2) -> list[dict[str, Any]]:
    """Each host's instances after each other, from half a minute on."""
    return [
        {
            "at": NOON + 30 + host * 20 + instance * 5,
            "host": f"app{host + 1}",
            "what": f"instance {instance + 1} runs 1.4.0",
        }
        for host in range(hosts)
        for instance in range(instances)
    ]


def write_run(
    folder: Path, events: dict[str, Any] | None = None, seconds: int = 150, failed: int = 0
) -> Path:
    """A history of so long, of which so many failed one minute in; returns the events' file."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row(NOON + number / RATE) for number in range(seconds * RATE)]
    for number in range(failed):
        words = {"reason": "server error", "failure": "answered 502", "status": 502}
        rows[60 * RATE + number].update(words)
    (folder / "history.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    usual: dict[str, Any] = {"version": "1.4.0", "verdict": "released", "marks": marks()}
    file = folder / "events.json"
    file.write_text(json.dumps(usual if events is None else events))
    return file
