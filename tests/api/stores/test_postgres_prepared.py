"""Prepared queries over real sessions, also over those that somebody else has changed."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from gtsd.deadline import within
from gtsd.errors import DeadlineExceeded
from gtsd.stores.aiopg_mended import Connection
from gtsd.stores.postgres import Query, QueryFailed
from tests.support.database import opened, query

ASKED = Query("asked", "SELECT %(n)s::int + 1", prepared=True)
TWICE = Query(
    "twice",
    "INSERT INTO kept VALUES (%(n)s::int); SELECT sum(n)::int FROM kept",
    prepared=True,
)
PREPARED = query("SELECT count(*)::int FROM pg_prepared_statements WHERE from_sql")


async def test_a_query_is_prepared_once_a_session(store_url: str) -> None:
    """From the second time on the server has its plan."""
    async with opened(store_url, database_pool_size=1) as store:
        assert await store.value(PREPARED) == 0
        assert [await store.value(ASKED, n=n) for n in range(3)] == [1, 2, 3]
        assert await store.value(PREPARED) == 1


async def test_a_session_that_does_not_know_it_is_taught(store_url: str) -> None:
    """As behind PgBouncer, which hands out another one; the caller does not notice."""
    async with opened(store_url, database_pool_size=1) as store:
        assert await store.value(ASKED, n=1) == 2
        await store.execute(query("DEALLOCATE ALL"))
        assert await store.value(ASKED, n=1) == 2
        assert await store.value(PREPARED) == 1


async def test_a_session_that_knows_it_from_others_is_used(store_url: str) -> None:
    """PREPARE would fail: the session was taught over another connection to PgBouncer."""
    async with opened(store_url, database_pool_size=1) as store:
        assert await store.value(ASKED, n=1) == 2
        cast(Connection, store._link.pool._free[0]).prepared.clear()
        assert await store.value(ASKED, n=1) == 2


async def test_what_was_not_known_has_not_happened_before(store_url: str) -> None:
    """A query is sent again only where nothing of it was done: one row a call."""
    async with opened(store_url, database_pool_size=1) as store:
        await store.execute(query("CREATE TABLE IF NOT EXISTS kept (n int); TRUNCATE kept"))
        assert await store.value(TWICE, n=1) == 1
        second = await store.value(query("SELECT max(name) FROM pg_prepared_statements"))
        await store.execute(query(f"DEALLOCATE {second}"))
        assert await store.value(TWICE, n=1) == 2


async def test_a_prepared_query_is_all_or_nothing(store_url: str) -> None:
    """One message is one transaction: if its last statement fails, its first one has not been."""
    breaks = Query(
        "breaks", "INSERT INTO kept VALUES (%(n)s::int); SELECT 1 / %(zero)s::int", prepared=True
    )
    async with opened(store_url, database_pool_size=1) as store:
        await store.execute(query("CREATE TABLE IF NOT EXISTS kept (n int); TRUNCATE kept"))
        for _ in range(2):
            with pytest.raises(QueryFailed):
                await store.value(breaks, n=1, zero=0)
        assert await store.value(query("SELECT count(*) FROM kept")) == 0


async def test_a_prepared_query_has_the_deadline_of_the_request(store_url: str) -> None:
    """The server stops it, and the session is as good as before."""
    slow = Query("slow", "SELECT pg_sleep(%(s)s::float)", prepared=True)
    async with opened(store_url, database_pool_size=1) as store:
        await store.value(slow, s=0)
        with within(0.2), pytest.raises(DeadlineExceeded):
            await store.value(slow, s=5)
        assert await asyncio.wait_for(store.value(ASKED, n=1), 5) == 2
