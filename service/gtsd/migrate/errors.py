"""What can go wrong in a migration, and the exit code that says so.

::

    MigrationError         1  a statement failed, the server is away, a pooler is in between
    ├── BadUsage           2  the command line asks for what there is not
    ├── BadFiles           2  the files in migrations/ cannot be run as they are
    ├── LockNotHad         3  somebody else's lock outlived the budget
    └── Drift              4  the ledger and the files, or the schema and its dump, disagree
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple


class MigrationError(Exception):
    """The run ends here; what was committed before stays, and a rerun goes on from there."""

    exit_code: ClassVar[int] = 1


class Problem(NamedTuple):
    """One thing to mend in one file; ``example`` shows how it looks when it is right."""

    file: str
    problem: str
    example: str

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}\n    example: {self.example}"


class BadUsage(MigrationError):
    """Nothing was done."""

    exit_code = 2


class BadFiles(MigrationError):
    """Every problem of the folder at once, so that one round of editing is enough."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class LockNotHad(MigrationError):
    """Nothing was changed by the migration that waited; its message names who is in the way."""

    exit_code = 3


class Drift(MigrationError):
    """Two things that must be equal are not; nothing was changed."""

    exit_code = 4
