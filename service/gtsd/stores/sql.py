"""Fragments for queries that answer with finished JSON.

PostgreSQL writes the JSON of an answer: it has the rows at hand, and nothing has to be decoded and
encoded again in Python.
"""

from __future__ import annotations


def iso(column: str) -> str:
    """SQL for RFC 3339 in UTC with milliseconds: 2026-11-22T18:39:44.123Z."""
    return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""


def hour_minute(column: str) -> str:
    """SQL for a time of day: 06:15."""
    return f"to_char({column}, 'HH24:MI')"


def pagination(total: str) -> str:
    """SQL for the object ``pagination``; the query has the parameters limit and offset."""
    return f"""json_build_object(
        'limit', %(limit)s::int, 'offset', %(offset)s::int, 'total', {total},
        'hasMore', %(offset)s::bigint + %(limit)s::bigint < {total})"""
