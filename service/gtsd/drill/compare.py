"""The restored tables against those of a running server, row by row where a table differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from gtsd.drill import queries
from gtsd.drill.errors import Cause, DrillError
from gtsd.drill.reading import Reader, Table


class Compared(NamedTuple):
    """``rows`` are those of the running server; it was at the position ``lsn``."""

    rows: int
    lsn: str


def compare(restored: Reader, tables: Mapping[str, Table], running: Reader) -> Compared:
    """Raises DrillError where a table or a row is on one side only."""
    lsn = running.rows(queries.POSITION)[0][0]
    there = running.tables()
    problems = [f"{name} was not restored" for name in sorted(there.keys() - tables.keys())]
    problems += [f"{name} is not there" for name in sorted(tables.keys() - there.keys())]
    for name in sorted(there.keys() & tables.keys()):
        if there[name] != tables[name]:
            number = differing(restored.row_hashes(name), running.row_hashes(name))
            problems.append(f"{name}: {number:,} rows differ")
    if problems:
        raise DrillError(
            Cause.ROWS,
            f"the restored database is not the running one (at {lsn}): {'; '.join(problems)}",
        )
    return Compared(sum(table.rows for table in there.values()), lsn)


def differing(left: Iterator[int], right: Iterator[int]) -> int:
    """How many are on one side only, of two that rise; a changed row is one on each side.

    The larger of the two numbers: a changed row counts as one.
    """
    only_left = only_right = 0
    mine, theirs = next(left, None), next(right, None)
    while mine is not None or theirs is not None:
        if theirs is None or (mine is not None and mine < theirs):
            only_left += 1
            mine = next(left, None)
        elif mine is None or theirs < mine:
            only_right += 1
            theirs = next(right, None)
        else:
            mine, theirs = next(left, None), next(right, None)
    return max(only_left, only_right)
