#!/usr/bin/env python3
"""The hosts of the rehearsal that runs on this machine, for Ansible.

GTSD_REHEARSAL names it where there are several; `make rehearsal` starts one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> int:
    """Print what the rehearsal wrote down when it started."""
    name = os.environ.get("GTSD_REHEARSAL") or "rehearsal"
    try:
        told = (Path("/run/gtsd-rehearsal") / name / "inventory.json").read_text()
    except FileNotFoundError:
        sys.stderr.write(f"No rehearsal named {name} runs here; start it: make rehearsal\n")
        return 1
    except PermissionError:
        sys.stderr.write(f"The rehearsal {name} belongs to root; run this as root.\n")
        return 1
    # Ansible asks for one host only where the answer to --list lacks _meta.
    sys.stdout.write("{}" if "--host" in sys.argv else told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
