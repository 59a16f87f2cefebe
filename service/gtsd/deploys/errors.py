"""What can go wrong with the lease and the ledger, and the exit code that says so.

::

    DeployError        1  the database is away or said no, or the ledger is not intact
    ├── BadUsage       2  the command line asks for what cannot be
    ├── Refused        3  somebody else holds the lease, or the token is stale
    └── Forbidden      4  the schema or the history of the releases is against it
"""

from __future__ import annotations

from typing import Any, ClassVar


class DeployError(Exception):
    """Nothing was done; ``facts`` are what a program wants to know of it, fit for JSON."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, **facts: Any) -> None:
        self.facts = facts
        super().__init__(message)


class BadUsage(DeployError):
    """Whoever calls has to change something before trying again."""

    exit_code = 2


class Refused(DeployError):
    """The lease is somebody else's; the message names them."""

    exit_code = 3


class Forbidden(DeployError):
    """Trying again will not help; the message says what would."""

    exit_code = 4
