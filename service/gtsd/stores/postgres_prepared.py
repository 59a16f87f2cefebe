"""Statements that the server parses and plans once a session, through PgBouncer as well.

Planning is most of what a large query costs the server: the day's tasks took 1.19 ms as text and
0.18 ms prepared (PostgreSQL 17, one row of JSON). psycopg2 knows nothing of it, so PREPARE and
EXECUTE are sent as SQL. Behind PgBouncer, which hands out another session for each transaction,
nobody knows what the next one has prepared. It is therefore tried, and only where the server does
not know the name, which it says before anything was done, all is sent again with its PREPARE.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from gtsd.stores.postgres_session import Query

_PARAMETER: Final = re.compile(r"%\((\w+)\)s")


class Prepared(NamedTuple):
    """Two pieces of SQL with the parameters of the query."""

    prepare: str
    execute: str


@cache  # the queries are constants
def prepared(query: Query) -> Prepared:
    """How to prepare all statements of a query, and how to run them."""
    both = [_statement(part) for part in statements(query)]
    return Prepared("".join(p for p, _ in both), "; ".join(e for _, e in both))


def statements(query: Query) -> list[str]:
    """What runs in one message."""
    parts = [part.strip() for part in query.sql.split(";")]
    return [part for part in parts if part]


def numbered(sql: str) -> tuple[str, list[str]]:
    """The same with $1, $2 … and the names that these stand for, each once."""
    names = list(dict.fromkeys(_PARAMETER.findall(sql)))
    return _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", sql), names


def _statement(sql: str) -> tuple[str, str]:
    # By its text: during a release two versions of a query live in the same sessions.
    name = f"gtsd_{hashlib.sha256(sql.encode()).hexdigest()[:16]}"
    counted, names = numbered(sql)
    given = ", ".join(f"%({parameter})s" for parameter in names)
    execute = f"EXECUTE {name}({given})" if given else f"EXECUTE {name}"
    return _unless_there(f"PREPARE {name} AS {counted}"), execute


def _unless_there(prepare: str) -> str:
    """Another client of PgBouncer may have prepared it; there is no PREPARE IF NOT EXISTS."""
    return (
        f"DO $gtsd$ BEGIN EXECUTE $sql${prepare}$sql$; "
        "EXCEPTION WHEN duplicate_prepared_statement THEN NULL; END $gtsd$; "
    )
