"""What a statement is, and the ways to run one."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

Row = tuple[Any, ...]
Fetch = Callable[[Any], Any]


class Query(NamedTuple):
    """SQL with ``%(name)s`` parameters; ``name`` labels its metric and its span.

    ``prepared`` is for what is asked all the time: see ``postgres_prepared``. Its statements end
    at each semicolon, and every parameter has a type by its place or by a cast.
    """

    name: str
    sql: str
    prepared: bool = False


class Session(Protocol):
    """Where a statement may run: on its own, or as a part of a transaction.

    Parameters are written ``%(name)s`` in the SQL; then a literal percent sign is ``%%``. Raises
    what ``postgres_errors`` lists.
    """

    async def row(self, query: Query, **params: Any) -> Row | None:
        """The first row, or None."""
        ...

    async def rows(self, query: Query, **params: Any) -> list[Row]:
        """Every row."""
        ...

    async def value(self, query: Query, **params: Any) -> Any:
        """The first column of the first row; None also where there is no row."""
        ...

    async def records(self, query: Query, **params: Any) -> list[dict[str, Any]]:
        """Every row by the names of its columns, for a library that reads them so."""
        ...

    async def execute(self, query: Query, **params: Any) -> int:
        """How many rows were changed or found."""
        ...


class Statements(abc.ABC):
    """The ways to read an answer, for whatever can run a statement."""

    @abc.abstractmethod
    async def _run(self, query: Query, params: dict[str, Any], fetch: Fetch) -> Any:
        """Send the statement and hand its cursor to ``fetch``, before anybody else may use it."""

    async def row(self, query: Query, **params: Any) -> Row | None:
        row: Row | None = await self._run(query, params, _first)
        return row

    async def rows(self, query: Query, **params: Any) -> list[Row]:
        rows: list[Row] = await self._run(query, params, _all)
        return rows

    async def value(self, query: Query, **params: Any) -> Any:
        row = await self._run(query, params, _first)
        return None if row is None else row[0]

    async def records(self, query: Query, **params: Any) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = await self._run(query, params, _named)
        return records

    async def execute(self, query: Query, **params: Any) -> int:
        count: int = await self._run(query, params, _count)
        return count


def _first(cursor: Any) -> Any:
    return cursor.fetchone()


def _all(cursor: Any) -> Any:
    return cursor.fetchall()


def _named(cursor: Any) -> Any:
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _count(cursor: Any) -> int:
    return int(cursor.rowcount)
