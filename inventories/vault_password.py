#!/usr/bin/env python3
"""Hands Ansible the password of the vault that belongs to the inventory it was called with.

Ansible runs this and reads its output; ansible.cfg names it. Ansible does not say which inventory
is meant, so this looks at the command that called it: `-i inventories/production`, or the path of
the file that ansible-vault edits. The password is in .vault-password there, outside of git.
ANSIBLE_VAULT_PASSWORD_FILE, Ansible's own variable, names another file and is stronger.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

FILE = ".vault-password"
DEFAULT = Path(__file__).resolve().parent / "production"


def command(process: int) -> list[str]:
    """The arguments of a process; by ps where there is no /proc."""
    try:
        return os.fsdecode(Path(f"/proc/{process}/cmdline").read_bytes()).split("\0")
    except OSError:
        listing = ["ps", "-ww", "-o", "args=", "-p", str(process)]
        done = subprocess.run(listing, capture_output=True, text=True, check=False)  # noqa: S603 - a number
        return done.stdout.split()


def passwords(arguments: list[str]) -> list[Path]:
    """The password files beside, or above, whatever the arguments name."""
    found = []
    for argument in arguments:
        place = argument.partition("=")[2] if argument.startswith("--inventory=") else argument
        place = place.removeprefix("-i")
        # A list of hosts with a comma, an option, a word: none of them is a place.
        if "inventories" not in place and not Path(place).is_dir():
            continue
        path = Path(place).resolve()
        found += [p / FILE for p in (path, *path.parents) if (p / FILE).is_file()][:1]
    return list(dict.fromkeys(found))


def main() -> None:
    """The password on stdout, or what stands in the way."""
    found = passwords(command(os.getppid())) or passwords([str(DEFAULT)])
    if len(found) > 1:
        sys.exit(f"Several vaults at once: {', '.join(map(str, found))}. Name one inventory.")
    # An inventory without a vault needs no password; Ansible wants one all the same, and refuses
    # with its own words when there is a vault that this does not open.
    print(found[0].read_text().strip() if found else secrets.token_hex())  # noqa: T201 - its answer


if __name__ == "__main__":
    main()
