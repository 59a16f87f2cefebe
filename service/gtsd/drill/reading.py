"""A connection that reads all tables at one moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

from psycopg2 import extensions

from gtsd.drill import queries
from gtsd.migrate.connection import connected

_BATCH = 10_000


class Table(NamedTuple):
    """Its rows, and the sum of their hashes, which does not depend on their order."""

    rows: int
    hash: str


class Reader:
    """An open snapshot; raises psycopg2.Error."""

    def __init__(self, connection: extensions.connection) -> None:
        self._connection = connection

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """All of them."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    def number(self, statement: str) -> int:
        """The first value of the only row."""
        return int(self.rows(statement)[0][0])

    def tables(self) -> dict[str, Table]:
        """Every table of ours with what is in it."""
        names = [name for (name,) in self.rows(queries.TABLES)]
        return {
            name: Table(*self.rows(queries.TABLE_HASH.replace("{}", name))[0]) for name in names
        }

    def row_hashes(self, table: str) -> Iterator[int]:
        """One a row, the smallest first, and never all of them in memory."""
        with closing(self._connection.cursor("hashes")) as cursor:
            cursor.itersize = _BATCH
            cursor.execute(queries.ROW_HASHES.replace("{}", table))
            for (hash_,) in cursor:
                yield hash_


@contextmanager
def reading(dsn: str) -> Iterator[Reader]:
    """All statements see the same moment, and nothing can be changed."""
    with closing(connected(dsn, "gtsd drill")) as connection:
        connection.set_session(
            isolation_level=extensions.ISOLATION_LEVEL_REPEATABLE_READ, readonly=True
        )
        with connection.cursor() as cursor:
            cursor.execute(queries.SESSION)
        yield Reader(connection)
