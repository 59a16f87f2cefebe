"""What a database has and what is wrong with it; changes nothing and takes no lock."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gtsd.migrate import ledger
from gtsd.migrate.connection import Link
from gtsd.migrate.errors import Drift
from gtsd.migrate.files import Migration
from gtsd.migrate.ledger import Entry

_INVALID_INDEXES = """
SELECT indexrelid::regclass::text FROM pg_index
WHERE NOT (indisvalid AND indisready AND indislive) ORDER BY 1
"""


def status(entries: Sequence[Entry], migrations: Sequence[Migration]) -> list[dict[str, Any]]:
    """One record for each number that the folder or the ledger knows."""
    files = {migration.number: migration for migration in migrations}
    applied = {entry.number: entry for entry in entries}
    return [
        _record(applied.get(number), files.get(number), max(applied, default=0))
        for number in sorted(files.keys() | applied.keys())
    ]


def _record(entry: Entry | None, migration: Migration | None, last: int) -> dict[str, Any]:
    known = migration or entry
    assert known is not None
    return {
        "number": known.number,
        "name": known.name,
        "phase": known.phase,
        "lock": migration.lock if migration else None,
        "state": _state(entry, migration, last),
        "applied_at": entry.applied_at.isoformat(timespec="seconds") if entry else None,
        "applied_by": entry.applied_by if entry else None,
        "duration_ms": entry.duration_ms if entry else None,
        "gtsd_version": entry.gtsd_version if entry else None,
    }


def _state(entry: Entry | None, migration: Migration | None, last: int) -> str:
    if migration is None:
        return "file missing"
    if entry is None:
        return "out of order" if migration.number < last else "pending"
    same = (entry.name, entry.checksum) == (migration.name, migration.checksum)
    return "applied" if same else "file changed"


def as_table(records: Sequence[dict[str, Any]]) -> str:
    """For people: aligned columns, a dash where there is nothing to say."""
    columns = ("name", "phase", "state", "applied_at", "duration_ms", "applied_by", "gtsd_version")
    return aligned(columns, records)


def aligned(columns: Sequence[str], records: Sequence[Mapping[str, Any]]) -> str:
    """A table with a line of headings; other keys of the records are left out."""
    rows = [["-" if record[c] is None else str(record[c]) for c in columns] for record in records]
    cells = [list(columns), *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    )
    return "\n".join(line.rstrip() for line in padded)


def as_json(records: Sequence[dict[str, Any]]) -> str:
    """For programs: a list of objects, times in ISO 8601."""
    return json.dumps(records, indent=2)


def verify(link: Link, migrations: Sequence[Migration]) -> str:
    """A sentence on what was found right; raises Drift with all that was not."""
    entries = ledger.read(link)
    problems = ledger.compare(entries, migrations)
    problems += [
        f"the index {index} is invalid: drop it, or run up where it is being created"
        for (index,) in link.rows(_INVALID_INDEXES)
    ]
    if problems:
        raise Drift("\n".join(problems))
    waiting = len(migrations) - len(entries)
    return f"{len(entries)} applied as the files say, {waiting} pending, no invalid index"
