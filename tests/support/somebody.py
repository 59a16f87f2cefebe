"""Runs programs that refuse root, such as PostgreSQL, as somebody else where we are root."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gtsd.dev import host

# An account of every Debian that is not root; it has a name, which initdb wants.
_STRANGER = 1


def somebody() -> list[str]:
    """The words to put before a command.

    Where a checkout is closed to other accounts, as one below root's home is, the program stays
    root for the kernel, and is told that it is somebody else by a user namespace.
    """
    account = host.unprivileged_account()
    if account is None:
        return []
    if host.closed_parent(Path(sys.executable).resolve(), account) is None:
        return [
            "setpriv",
            f"--reuid={account.user}",
            f"--regid={account.group}",
            "--clear-groups",
        ]
    return ["unshare", "--user", f"--map-user={_STRANGER}", f"--map-group={_STRANGER}"]


def give(folder: Path) -> None:
    """Make it theirs."""
    account = host.unprivileged_account()
    if account is not None and somebody()[0] == "setpriv":
        os.chown(folder, account.user, account.group)
