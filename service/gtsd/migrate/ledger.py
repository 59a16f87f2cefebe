"""The table that says which migrations a database has, and from which bytes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from gtsd.migrate.errors import Drift
from gtsd.migrate.files import Migration

TABLE = "public.gtsd_migrations"
CREATE = """
CREATE TABLE IF NOT EXISTS public.gtsd_migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    phase text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    applied_by text NOT NULL,
    duration_ms bigint NOT NULL,
    gtsd_version text NOT NULL
)
"""
INSERT = """
INSERT INTO public.gtsd_migrations
    (number, name, phase, checksum, applied_by, duration_ms, gtsd_version)
VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
DELETE = "DELETE FROM public.gtsd_migrations WHERE number = %s"
_SELECT = """
SELECT number, name, phase, checksum, applied_at, applied_by, duration_ms, gtsd_version
FROM public.gtsd_migrations ORDER BY number
"""


class Entry(NamedTuple):
    """One applied migration."""

    number: int
    name: str
    phase: str
    checksum: str
    applied_at: datetime
    applied_by: str
    duration_ms: int
    gtsd_version: str


class Reader(Protocol):
    """What can be asked: a link, or a transaction of somebody who only wants to know."""

    def rows(self, sql: str, parameters: Sequence[Any] = (), /) -> list[tuple[Any, ...]]:
        """What a query finds."""


def read(link: Reader) -> list[Entry]:
    """In order of number; empty where there is no table yet."""
    if link.rows("SELECT to_regclass(%s)", [TABLE])[0][0] is None:
        return []
    return [Entry(*row) for row in link.rows(_SELECT)]


def compare(entries: Sequence[Entry], migrations: Sequence[Migration]) -> list[str]:
    """One sentence for each way in which the ledger is not a beginning of the folder."""
    files = {migration.number: migration for migration in migrations}
    problems = []
    for entry in entries:
        migration = files.get(entry.number)
        if migration is None:
            problems.append(
                f"{entry.name} was applied at {entry.applied_at:%Y-%m-%d %H:%M} by gtsd"
                f" {entry.gtsd_version}, but its file is missing: run with that release's files"
            )
        elif migration.name != entry.name:
            problems.append(
                f"number {entry.number:04} was applied as {entry.name}, but is now "
                f"{migration.name}: a number is used once"
            )
        elif migration.checksum != entry.checksum:
            problems.append(
                f"{entry.name}.sql was changed after it was applied (was {entry.checksum[:12]}, "
                f"is {migration.checksum[:12]}): restore it, and make the change a new migration"
            )
    applied = {entry.number for entry in entries}
    last = max(applied, default=0)
    problems += [
        f"{migration.name} is out of order: {last:04} was applied before it: give it a new number"
        for migration in migrations
        if migration.number < last and migration.number not in applied
    ]
    return problems


def pending(link: Reader, migrations: Sequence[Migration]) -> list[Migration]:
    """What is not applied yet, in order; raises Drift where the two disagree."""
    entries = read(link)
    if problems := compare(entries, migrations):
        raise Drift("\n".join(problems))
    return list(migrations[len(entries) :])
