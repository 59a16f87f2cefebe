"""The SQL of the export, made from the table of its parts."""

from __future__ import annotations

from typing import Final

from gtsd.export.parts import PARTS, Part
from gtsd.stores.postgres import Query
from gtsd.stores.sql import hour_minute, iso


def _value(column: str) -> str:
    if column.endswith("_at"):
        return iso(column)
    return hour_minute(column) if column.endswith("_time") else column


def _rows(part: Part) -> str:
    columns = ", ".join(f'{_value(column)} AS "{name}"' for column, name in part.fields)
    return f"""(
        SELECT coalesce(json_agg(shown), '[]') FROM (
            SELECT {columns} FROM {part.table} WHERE {part.owner} = %(user_id)s
            ORDER BY {part.fields[0][0]}
        ) AS shown
    )"""


# One statement, so that all of it is of one moment. No row for an account that has gone.
EXPORT: Final = Query(
    "export",
    "SELECT json_build_object("
    + ", ".join(f"'{part.name}', {_rows(part)}" for part in PARTS)
    + ")::text FROM users WHERE id = %(user_id)s",
)
