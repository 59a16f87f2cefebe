"""Who is in the way of a lock, told without telling what is in their statements."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

# The sample must be taken while the wait lasts: once lock_timeout has fired, nobody blocks.
# Process 0 is a prepared transaction, which has no row in pg_stat_activity.
BLOCKERS = """
SELECT blocking.pid, a.usename, a.application_name, a.state,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8, a.query
FROM unnest(pg_blocking_pids(%s)) AS blocking (pid)
LEFT JOIN pg_stat_activity a ON a.pid = blocking.pid
ORDER BY a.xact_start NULLS LAST
"""
_LITERAL = re.compile(r"'(?:[^']|'')*(?:'|$)|\$(\w*)\$.*?(?:\$\1\$|$)|\b\d[\d.]*\b", re.DOTALL)
_QUERY_LENGTH = 160


class Blocker(NamedTuple):
    """A session that holds, or waits ahead of us for, what we want; ``age`` in seconds."""

    pid: int
    user: str | None
    application: str | None
    state: str | None
    age: float | None
    query: str | None

    def __str__(self) -> str:
        if self.pid == 0:
            return "a prepared transaction (see pg_prepared_xacts)"
        who = f"user {self.user}, application {self.application or '?'}, {self.state}"
        if self.age is not None:
            who += f", transaction open for {self.age:.1f} s"
        return f"pid {self.pid} ({who}): {redact(self.query or '?')}"


def redact(query: str) -> str:
    """One line, its values taken out: a statement's literals are people's data."""
    return " ".join(_LITERAL.sub("?", query).split())[:_QUERY_LENGTH]


def describe(blockers: Sequence[Blocker]) -> str:
    """All of them in one sentence part, oldest transaction first."""
    return "; ".join(map(str, blockers)) if blockers else "somebody who was gone when we looked"
