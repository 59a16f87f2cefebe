"""Makes requests wait as they do in production: for a row that somebody else has locked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2

_WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()
"""
_AT_WORK = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND backend_type = 'client backend' AND state <> 'idle' AND pid <> pg_backend_pid()
"""


class Held:
    """Every change of a person's tasks waits until ``release``; each method blocks."""

    def __init__(self, database_url: str, user_id: int) -> None:
        self._locks = psycopg2.connect(database_url)
        self._looks = psycopg2.connect(database_url)
        self._looks.autocommit = True
        with self._locks.cursor() as cursor:
            cursor.execute("SELECT 1 FROM streaks WHERE user_id = %s FOR UPDATE", (user_id,))

    def wait_for(self, requests: int) -> None:
        """Until so many statements wait for it, no more and no less."""
        self._until(_WAITING, requests)

    def wait_for_silence(self, bound_s: float = 5) -> None:
        """Until the server does nothing for this database but hold the lock."""
        self._until(_AT_WORK, 1, bound_s)

    def release(self) -> None:
        """Let all of them go on; may be repeated."""
        self._locks.rollback()

    def close(self) -> None:
        """Ends the lock too."""
        self._locks.close()
        self._looks.close()

    def _until(self, sql: str, wanted: int, bound_s: float = 10) -> None:
        ends = time.monotonic() + bound_s
        while (found := self._count(sql)) != wanted:
            assert time.monotonic() < ends, f"{found} sessions, not {wanted}"
            time.sleep(0.01)

    def _count(self, sql: str) -> int:
        with self._looks.cursor() as cursor:
            cursor.execute(sql)
            row = cursor.fetchone()
        assert row is not None
        return int(row[0])


@contextmanager
def held(database_url: str, user_id: int) -> Iterator[Held]:
    """The lock as long as the block runs or until it is released."""
    lock = Held(database_url, user_id)
    try:
        yield lock
    finally:
        lock.close()
