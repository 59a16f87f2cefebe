"""Mistakes with transactions: none of them may make half of the work last."""

from __future__ import annotations

import asyncio

import pytest
from psycopg2 import errors

from gtsd.errors import DependencyUnavailable
from gtsd.stores.postgres import ConstraintViolated, Postgres, QueryFailed
from tests.support.database import assert_clean, query

INSERT = query("INSERT INTO t VALUES (%(id)s)")
COUNT = query("SELECT count(*) FROM t")


async def test_a_failure_that_is_caught_inside_still_fails_the_whole(single: Postgres) -> None:
    """COMMIT would answer with success here, and silently do nothing."""
    pid = await single.value(query("SELECT pg_backend_pid()"))
    with pytest.raises(ConstraintViolated):
        async with single.transaction() as transaction:
            await transaction.execute(INSERT, id=2)
            with pytest.raises(ConstraintViolated):
                await transaction.execute(INSERT, id=1)
            with pytest.raises(QueryFailed):
                await transaction.execute(INSERT, id=3)
    assert await assert_clean(single, 1) == pid


async def test_a_parameter_that_is_missing_fails_the_whole(single: Postgres) -> None:
    """Nothing was sent, not even BEGIN: what follows must not take effect on its own."""
    with pytest.raises(KeyError):
        async with single.transaction() as transaction:
            with pytest.raises(KeyError):
                await transaction.execute(INSERT, other=2)
            with pytest.raises(QueryFailed):
                await transaction.execute(INSERT, id=2)
    await assert_clean(single, 1)


async def test_a_commit_that_the_server_makes_a_rollback_is_noticed(single: Postgres) -> None:
    """The last net: it answers COMMIT of a failed transaction with success, named ROLLBACK."""
    with pytest.raises(RuntimeError, match="ROLLBACK"):
        async with single.transaction() as transaction:
            await transaction.execute(INSERT, id=2)
            assert transaction._connection is not None
            with pytest.raises(errors.DivisionByZero):
                await transaction._connection.run("SELECT 1/0", None, 5.0)
    await assert_clean(single, 1)


async def test_a_transaction_cannot_be_used_after_its_end(single: Postgres) -> None:
    """A statement that comes too late would take effect on its own."""
    async with single.transaction() as transaction:
        assert await transaction.value(COUNT) == 1
    with pytest.raises(RuntimeError):
        await transaction.execute(INSERT, id=2)
    await assert_clean(single, 1)


async def test_a_transaction_runs_one_statement_at_a_time(single: Postgres) -> None:
    """Two at once are refused, and the statement that is still running is cut off."""
    with pytest.raises(RuntimeError):
        async with single.transaction() as transaction:
            await asyncio.gather(
                transaction.execute(query("SELECT pg_sleep(60)")), transaction.execute(COUNT)
            )
    await assert_clean(single, 1)


async def test_a_statement_that_nobody_waited_for_fails_the_whole(single: Postgres) -> None:
    """The end of the block does not wait for it, and does not commit half of the work."""
    with pytest.raises(RuntimeError):
        async with single.transaction() as transaction:
            await transaction.execute(INSERT, id=2)
            stray = asyncio.create_task(transaction.execute(query("SELECT pg_sleep(60)")))
            await asyncio.sleep(0.02)
    with pytest.raises(DependencyUnavailable):
        await stray
    await assert_clean(single, 1)


async def test_a_statement_that_starts_while_its_transaction_ends_is_refused(
    single: Postgres,
) -> None:
    """It waits for the pool when the block ends, and gives back what it then gets."""
    async with single.transaction() as holder:
        await holder.value(COUNT)
        with pytest.raises(RuntimeError):
            async with single.transaction() as transaction:
                stray = asyncio.create_task(transaction.execute(INSERT, id=2))
                await asyncio.sleep(0.02)
    with pytest.raises(RuntimeError):
        await stray
    await assert_clean(single, 1)
