"""One runner at a time: an advisory lock that ends with the session, and so with the process."""

from __future__ import annotations

from collections.abc import Callable

from gtsd.migrate.budget import Budget
from gtsd.migrate.connection import Link
from gtsd.migrate.errors import LockNotHad

# "gtsd" in ASCII, and the first of its uses. Advisory locks count for one database.
KEY = (0x67747364, 1)

_HOLDER = """
SELECT l.pid, coalesce(a.application_name, '?'), a.backend_start
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND (l.classid, l.objid, l.objsubid) = (%s, %s, 2)
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def become_the_only_runner(link: Link, budget: Budget, say: Callable[[str], None]) -> None:
    """Wait for the lock within the budget; raises LockNotHad, which names who has it.

    It asks again and again instead of waiting in the server: a waiting statement holds a snapshot,
    and the CREATE INDEX CONCURRENTLY of the runner that has the lock would wait for that one.
    """
    tries = 0
    said = ""
    while not link.value("SELECT pg_try_advisory_lock(%s, %s)", KEY):
        holder = _holder(link)
        if said != holder:
            say(f"another migration runs: {holder}; waiting up to {budget.left:.0f} s")
            said = holder
        if budget.pause(tries, 0.0) is None:
            raise LockNotHad(
                f"another migration still runs after {budget.seconds:g} s: {holder}. Nothing done"
            )
        tries += 1


def _holder(link: Link) -> str:
    rows = link.rows(_HOLDER, KEY)
    if not rows:
        return "it has just ended"
    pid, application, since = rows[0]
    return f"pid {pid}, {application}, since {since:%Y-%m-%d %H:%M:%S%z}"
