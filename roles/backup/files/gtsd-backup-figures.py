#!/usr/bin/python3
"""Tell node_exporter what is in the repositories: gtsd-backup-figures FILE COMMAND…

COMMAND is pgBackRest with its configuration; `info` is added. The file is written anew, in the text
format of Prometheus; where pgBackRest does not answer, with that alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HELP = {
    "gtsd_backup_repository_ok": "1 where the repository can be read and holds a backup, else 0.",
    "gtsd_backup_last_timestamp_seconds": "When the newest backup was complete.",
    "gtsd_backup_last_full_timestamp_seconds": "When the newest full backup was complete.",
    "gtsd_backup_count": "Backups in the repository.",
    "gtsd_backup_size_bytes": "Size of the database as the newest backup has it.",
}

Samples = dict[str, dict[str, float]]


def told(stanzas: list[dict[str, Any]]) -> Samples:
    """Of what `pgbackrest info` says, by metric and repository."""
    found: Samples = {name: {} for name in HELP}
    for stanza in stanzas:
        for repo in stanza["repo"]:
            key = str(repo["key"])
            own = [b for b in stanza["backup"] if b["database"]["repo-key"] == repo["key"]]
            found["gtsd_backup_repository_ok"][key] = repo["status"]["code"] == 0
            found["gtsd_backup_count"][key] = len(own)
            if not own:
                continue
            last = max(own, key=lambda backup: backup["timestamp"]["stop"])
            full = [b["timestamp"]["stop"] for b in own if b["type"] == "full"]
            found["gtsd_backup_last_timestamp_seconds"][key] = last["timestamp"]["stop"]
            found["gtsd_backup_size_bytes"][key] = last["info"]["size"]
            if full:
                found["gtsd_backup_last_full_timestamp_seconds"][key] = max(full)
    return found


def page(samples: Samples) -> str:
    """The text format."""
    lines: list[str] = []
    for name, own in samples.items():
        lines += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} gauge"] if own else []
        lines += [f'{name}{{repo="{repo}"}} {float(value)!r}' for repo, value in own.items()]
    return "".join(f"{line}\n" for line in lines)


def main() -> int:
    """In place of the old file, at once."""
    target, *command = sys.argv[1:]
    done = subprocess.run(  # noqa: S603 - as its unit says
        [*command, "--output=json", "info"], capture_output=True, text=True, check=False
    )
    stanzas = json.loads(done.stdout) if done.returncode == 0 else []
    known = any(stanza["backup"] or stanza.get("repo") for stanza in stanzas)
    samples = told(stanzas) if known else {"gtsd_backup_repository_ok": {"1": 0.0}}
    fresh = Path(target).with_suffix(".new")
    fresh.write_text(page(samples))
    fresh.replace(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
