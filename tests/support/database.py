"""A store on a real server, with small helpers to look at it from outside."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg2
from loguru import logger

from gtsd.settings import Settings
from gtsd.stores.postgres import Postgres, Query
from gtsd.telemetry.metrics import Metrics


def settings_for(database_url: str, **changes: Any) -> Settings:
    """Settings for this database."""
    given = {"database_pool_size": 4, **changes}
    return Settings(database_url=database_url, jwt_secret="x" * 40, app_env="test", **given)


@asynccontextmanager
async def opened(
    database_url: str, metrics: Metrics | None = None, **changes: Any
) -> AsyncIterator[Postgres]:
    """A store; at the end it must have nothing in use."""
    database = await Postgres.open(settings_for(database_url, **changes), metrics or Metrics())
    try:
        yield database
        assert database.pool_state.used == 0
    finally:
        await database.close()


def query(sql: str) -> Query:
    """A statement whose name does not matter."""
    return Query("test", sql)


def outside(database_url: str, sql: str) -> Any:
    """The first column of the first row, over a blocking connection of its own."""
    with contextlib.closing(psycopg2.connect(database_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(sql)
            row = cursor.fetchone() if cursor.description else None
            return None if row is None else row[0]


async def running(database_url: str) -> int:
    """How many sessions of this database execute something at the moment."""
    sql = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND state <> 'idle' AND pid <> pg_backend_pid()"
    )
    return int(await asyncio.to_thread(outside, database_url, sql))


async def assert_clean(database: Postgres, rows: int) -> int:
    """The next caller is in no transaction and sees so many rows; returns the backend."""
    assert await database.value(query("SELECT txid_current_if_assigned()")) is None
    assert await database.value(query("SELECT now() = statement_timestamp()"))
    assert await database.value(query("SELECT count(*) FROM t")) == rows
    return int(await database.value(query("SELECT pg_backend_pid()")))


@contextlib.contextmanager
def log_lines() -> Iterator[list[str]]:
    """Everything that is logged, with exceptions, while the block runs."""
    lines: list[str] = []
    number = logger.add(lines.append, level="TRACE", backtrace=True, diagnose=False)
    try:
        yield lines
    finally:
        logger.remove(number)
