"""``gtsd db``: what the database says of our statements. Changes nothing."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any, Final, NamedTuple, TextIO

import psycopg2
from psycopg2 import errorcodes

from gtsd.migrate.connection import connected, said
from gtsd.migrate.owner import owner_settings
from gtsd.migrate.report import aligned

_OK: Final = 0
_FAILED: Final = 1
_STATEMENT_TIMEOUT_MS: Final = 10_000
_QUERY_CHARS: Final = 100
_HIDDEN: Final = "<insufficient privilege>"
ORDERS: Final = ("total_ms", "mean_ms", "max_ms", "calls", "rows", "read_blocks")
_COLUMNS: Final = ("share", *ORDERS, "hit", "role", "query")
# The text is as the server normalised it: constants are $1, $2 …
_STATEMENTS: Final = """
SELECT s.userid, s.dbid, s.queryid, s.toplevel, pg_get_userbyid(s.userid), d.datname, s.query,
       s.calls, s.total_exec_time, s.max_exec_time, s.rows, s.shared_blks_hit, s.shared_blks_read
FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
WHERE s.calls > 0
"""


class Statement(NamedTuple):
    """One statement's counters, since they were last reset or over a while."""

    role: str
    database: str
    query: str
    calls: int
    total_ms: float
    max_ms: float | None
    rows: int
    hit_blocks: int
    read_blocks: int

    @property
    def mean_ms(self) -> float:
        """Of one call."""
        return self.total_ms / self.calls


Snapshot = dict[tuple[Any, ...], Statement]


def register(commands: Any) -> None:
    """Add the command with its options to the program's."""
    help_ = "tell which statements take the database's time"
    own = commands.add_parser("db", help=help_, description=help_)
    words = own.add_subparsers(dest="word", metavar="word", required=True)
    text = "the statements that took most time, out of pg_stat_statements of the primary"
    slow = words.add_parser("slow", help=text, description=text)
    slow.add_argument("--by", choices=ORDERS, default="total_ms", help="what the top is of")
    slow.add_argument("--limit", type=_positive, default=20, help="how many (20)")
    slow.add_argument(
        "--during", type=_positive, metavar="S", help="only of the S seconds from now on"
    )
    slow.add_argument("--role", help="of this role alone, such as gtsd_app")
    slow.add_argument("--json", action="store_true", help="for programs, with the whole text")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def main(args: argparse.Namespace, environ: Mapping[str, str], out: TextIO, errors: TextIO) -> int:
    """Do what the parsed arguments say; returns the exit code. Raises SettingsError."""
    url = owner_settings(environ).database_url
    try:
        found = look(url)
        if args.during is not None:
            time.sleep(args.during)
            found = since(found, look(url))
    except psycopg2.Error as error:
        errors.write(f"{_why(error)}\n")
        return _FAILED
    shown = top(found.values(), args.by, args.limit, args.role)
    out.write((json.dumps(shown, indent=2) if args.json else _table(shown)) + "\n")
    if any(record["query"] == _HIDDEN for record in shown):
        errors.write("This role may not read the texts: GRANT pg_read_all_stats TO it.\n")
        return _FAILED
    return _OK


def look(database_url: str) -> Snapshot:
    """The counters of all statements; raises psycopg2.Error."""
    with closing(connected(database_url, "gtsd db slow")) as connection:
        connection.set_session(readonly=True)
        with connection, connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout TO {_STATEMENT_TIMEOUT_MS:d}")
            cursor.execute(_STATEMENTS)
            return {row[:4]: Statement(*row[4:]) for row in cursor.fetchall()}


def since(before: Snapshot, after: Snapshot) -> Snapshot:
    """What was counted in between; the longest call of a while is not known."""
    found = {}
    for key, now in after.items():
        then = before.get(key)
        # Lower than before: somebody has reset them meanwhile, so all of it is new.
        if then is None or then.calls > now.calls:
            found[key] = now
        elif now.calls > then.calls:
            found[key] = now._replace(
                calls=now.calls - then.calls,
                total_ms=now.total_ms - then.total_ms,
                max_ms=None,
                rows=now.rows - then.rows,
                hit_blocks=now.hit_blocks - then.hit_blocks,
                read_blocks=now.read_blocks - then.read_blocks,
            )
    return found


def top(
    statements: Iterable[Statement], by: str, limit: int, role: str | None = None
) -> list[dict[str, Any]]:
    """The first of them in that order, with their share of the time of all."""
    wanted = [one for one in statements if role in (None, one.role)]
    all_ms = sum(one.total_ms for one in wanted) or 1.0
    wanted.sort(key=lambda one: (getattr(one, by) or 0, one.total_ms), reverse=True)
    return [_record(one, all_ms) for one in wanted[:limit]]


def _record(one: Statement, all_ms: float) -> dict[str, Any]:
    blocks = one.hit_blocks + one.read_blocks
    return {
        "share": round(one.total_ms / all_ms, 3),
        "calls": one.calls,
        "total_ms": round(one.total_ms, 1),
        "mean_ms": round(one.mean_ms, 2),
        "max_ms": None if one.max_ms is None else round(one.max_ms, 1),
        "rows": one.rows,
        "read_blocks": one.read_blocks,
        "hit": round(one.hit_blocks / blocks, 3) if blocks else None,
        "role": one.role,
        "database": one.database,
        "query": " ".join(one.query.split()),
    }


def _table(records: Sequence[Mapping[str, Any]]) -> str:
    if not records:
        return "No statement was counted."
    return aligned(_COLUMNS, [{**r, "query": r["query"][:_QUERY_CHARS]} for r in records])


def _why(error: psycopg2.Error) -> str:
    if error.pgcode in (errorcodes.UNDEFINED_TABLE, errorcodes.OBJECT_NOT_IN_PREREQUISITE_STATE):
        return (
            "This database does not count statements: it wants pg_stat_statements in"
            " shared_preload_libraries and as an extension. Role postgresql sees to both."
        )
    return f"The database said: {said(error)}"
