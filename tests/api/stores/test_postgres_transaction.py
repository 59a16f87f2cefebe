"""Transactions: all or nothing, whatever happens to the code, the connection or the server."""

from __future__ import annotations

import asyncio

import pytest

from gtsd.deadline import within
from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.errors import DeadlineExceeded, DependencyUnavailable
from gtsd.stores.postgres import ConstraintViolated, Postgres, Retryable
from tests.support.database import assert_clean, log_lines, opened, outside, query

INSERT = query("INSERT INTO t VALUES (%(id)s)")
COUNT = query("SELECT count(*) FROM t")
PID = query("SELECT pg_backend_pid()")


async def test_all_statements_take_effect_together(single: Postgres, table_url: str) -> None:
    """Others see nothing until the end of the block, and everything after it."""
    with within(10):
        async with single.transaction() as transaction:
            assert await transaction.execute(INSERT, id=2) == 1
            assert await transaction.execute(INSERT, id=3) == 1
            assert outside(table_url, "SELECT count(*) FROM t") == 1
    assert outside(table_url, "SELECT count(*) FROM t") == 3
    await assert_clean(single, 3)


async def test_nothing_takes_effect_after_an_exception(single: Postgres) -> None:
    """It passes through, and the connection comes back clean and open."""
    pid = await single.value(PID)
    with pytest.raises(KeyError):
        async with single.transaction() as transaction:
            await transaction.execute(INSERT, id=2)
            raise KeyError
    assert await assert_clean(single, 1) == pid


async def test_nothing_takes_effect_after_a_failed_statement(single: Postgres) -> None:
    """The statements before it are undone, too."""
    with pytest.raises(ConstraintViolated):
        async with single.transaction() as transaction:
            await transaction.execute(INSERT, id=2)
            await transaction.execute(INSERT, id=1)
    await assert_clean(single, 1)


async def test_a_rule_that_is_checked_at_commit_is_named(single: Postgres) -> None:
    """A deferred constraint fails COMMIT itself."""
    with pytest.raises(ConstraintViolated) as caught:
        async with single.transaction() as transaction:
            await transaction.execute(query("SET CONSTRAINTS ALL DEFERRED"))
            await transaction.execute(INSERT, id=1)
    assert caught.value.constraint == "t_pkey"
    await assert_clean(single, 1)


async def test_a_deadlock_is_lost_by_one_and_won_by_the_other(
    database_url: str, postgres_server: EmbeddedPostgres
) -> None:
    """The loser gets Retryable, and nothing of its work stays."""
    lock = query("SELECT 1 FROM t WHERE id = %(id)s FOR UPDATE")
    outside(database_url, "CREATE TABLE t AS SELECT generate_series(1, 2) AS id")
    name = database_url.rpartition("/")[2]
    postgres_server.administer(f"ALTER DATABASE {name} SET deadlock_timeout = '10ms'")

    async with opened(database_url) as database:
        barrier = asyncio.Barrier(2)

        async def cross(first: int, second: int) -> None:
            async with database.transaction() as transaction:
                await transaction.row(lock, id=first)
                await barrier.wait()
                await transaction.row(lock, id=second)

        ends = await asyncio.gather(cross(1, 2), cross(2, 1), return_exceptions=True)
        assert [type(end) for end in ends if end is not None] == [Retryable]


async def test_an_empty_transaction_needs_no_server(single: Postgres) -> None:
    """Nothing is sent for it, and what was to follow follows."""
    seen: list[object] = []

    async def look() -> None:
        seen.append(1)

    async with single.transaction() as transaction:
        transaction.after_commit(look)
        assert single.pool_state.used == 0
    assert seen == [1]


async def test_a_server_that_is_short_of_something_is_not_asked_again(single: Postgres) -> None:
    """It is there, so that another connection would not help."""
    short = "DO $$ BEGIN RAISE EXCEPTION 'no memory' USING ERRCODE = '53200'; END $$"
    pid = await single.value(PID)
    with pytest.raises(DependencyUnavailable):
        async with single.transaction() as transaction:
            await transaction.execute(query(short))
    assert await assert_clean(single, 1) == pid


async def test_a_callback_runs_after_commit_and_before_the_caller_goes_on(
    single: Postgres, table_url: str
) -> None:
    """It sees what was committed, in the order in which callbacks were given."""
    seen: list[object] = []

    async def look() -> None:
        seen.append(outside(table_url, "SELECT count(*) FROM t"))

    async with single.transaction() as transaction:
        transaction.after_commit(look)
        await transaction.execute(INSERT, id=2)
        transaction.after_commit(look)
        assert seen == []
    assert seen == [2, 2]


async def test_a_callback_does_not_run_after_a_rollback(single: Postgres) -> None:
    """What did not happen is not told to anybody."""
    seen: list[object] = []

    async def look() -> None:
        seen.append(1)

    with pytest.raises(KeyError):
        async with single.transaction() as transaction:
            transaction.after_commit(look)
            await transaction.execute(INSERT, id=2)
            raise KeyError
    assert seen == []


async def test_a_callback_that_fails_is_logged(single: Postgres) -> None:
    """The caller is not told that the work failed, for it did not; the other callbacks run."""
    seen: list[object] = []

    async def fail() -> None:
        raise ValueError("the cache is away")

    async def look() -> None:
        seen.append(1)

    with log_lines() as lines:
        async with single.transaction() as transaction:
            transaction.after_commit(fail)
            transaction.after_commit(look)
            await transaction.execute(INSERT, id=2)
    assert seen == [1]
    assert any("the cache is away" in line for line in lines)


async def test_a_task_that_is_cancelled_outside_of_a_statement_leaves_nothing(
    single: Postgres,
) -> None:
    """The open transaction ends with its connection: nobody waits for a rollback."""
    inside = asyncio.Event()
    pid = await single.value(PID)

    async def work() -> None:
        async with single.transaction() as transaction:
            await transaction.execute(INSERT, id=2)
            inside.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await assert_clean(single, 1) != pid


async def test_a_task_that_is_cancelled_in_a_statement_leaves_nothing(single: Postgres) -> None:
    """The connection is closed, and the server stops the statement and rolls back."""

    async def work() -> None:
        async with single.transaction() as transaction:
            await transaction.execute(INSERT, id=2)
            await transaction.execute(query("SELECT pg_sleep(60)"))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await work()
    await assert_clean(single, 1)


async def test_a_deadline_that_passes_before_commit_undoes_all(single: Postgres) -> None:
    """COMMIT is not even sent."""
    with within(0.1), pytest.raises(DeadlineExceeded):
        async with single.transaction() as transaction:
            await transaction.execute(INSERT, id=2)
            await asyncio.sleep(0.12)
    await assert_clean(single, 1)
