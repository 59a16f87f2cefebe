"""One connection, one transaction: all that a command of ``gtsd deploys`` needs of the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
from psycopg2 import extensions, sql

from gtsd.deploys.errors import DeployError
from gtsd.migrate.connection import connected, said

# Who was stopped between asking for the lease and committing must not keep it from all others.
_LIMITS = """
SET LOCAL lock_timeout TO '10s';
SET LOCAL statement_timeout TO '30s';
SET LOCAL idle_in_transaction_session_timeout TO '10s'
"""


class Session:
    """An open transaction; raises psycopg2.Error."""

    def __init__(self, cursor: extensions.cursor) -> None:
        self._cursor = cursor

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        """Execute what has no rows."""
        self._cursor.execute(statement, parameters or None)

    def run_for(self, statement: str, role: str) -> None:
        """Execute it with the role's name, quoted, in place of ``{}``."""
        self._cursor.execute(sql.SQL(statement).format(sql.Identifier(role)))

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All of them."""
        self.run(statement, parameters)
        found: list[tuple[Any, ...]] = self._cursor.fetchall()
        return found


@contextmanager
def transaction(database_url: str, command: str, *, snapshot: bool = False) -> Iterator[Session]:
    """Committed at the end, rolled back by an exception.

    ``snapshot`` is for reading: all statements see the same moment. Without it each sees what was
    committed before it, which is what whoever waits for a lock must see. Raises DeployError.
    """
    try:
        opened = connected(database_url, f"gtsd deploys {command}"[:63])
    except psycopg2.Error as error:
        raise DeployError(f"cannot connect to the database: {said(error)}") from error
    level = (
        extensions.ISOLATION_LEVEL_REPEATABLE_READ
        if snapshot
        else extensions.ISOLATION_LEVEL_READ_COMMITTED
    )
    with closing(opened) as connection:
        connection.set_session(isolation_level=level, readonly=snapshot)
        with connection, connection.cursor() as cursor:
            cursor.execute(_LIMITS)
            yield Session(cursor)
