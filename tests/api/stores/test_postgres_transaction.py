"""Transactions: all or nothing, whatever happens to the code, the connection or the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gtsd.deadline import within
from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.errors import DeadlineExceeded, DependencyUnavailable
from gtsd.stores.postgres import ConstraintViolated, Postgres, QueryFailed, Retryable
from tests.support.database import log_lines, opened, outside, query

INSERT = query("INSERT INTO t VALUES (%(id)s)")
COUNT = query("SELECT count(*) FROM t")
PID = query("SELECT pg_backend_pid()")


@pytest.fixture
def table_url(store_url: str) -> str:
    """A database with a table that has one row."""
    outside(
        store_url,
        "DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY DEFERRABLE);"
        " INSERT INTO t VALUES (1)",
    )
    return store_url


@pytest.fixture
async def database(table_url: str) -> AsyncIterator[Postgres]:
    """A store of one connection, so that whatever it is left with meets the next caller."""
    async with opened(table_url, database_pool_size=1) as database:
        yield database


async def _assert_clean(database: Postgres, rows: int) -> int:
    """The next caller is in no transaction and sees so many rows; returns the backend."""
    assert await database.value(query("SELECT txid_current_if_assigned()")) is None
    assert await database.value(query("SELECT now() = statement_timestamp()"))
    assert await database.value(COUNT) == rows
    return int(await database.value(PID))


async def test_all_statements_take_effect_together(database: Postgres, table_url: str) -> None:
    """Others see nothing until the end of the block, and everything after it."""
    with within(10):
        async with database.transaction() as transaction:
            assert await transaction.execute(INSERT, id=2) == 1
            assert await transaction.execute(INSERT, id=3) == 1
            assert outside(table_url, "SELECT count(*) FROM t") == 1
    assert outside(table_url, "SELECT count(*) FROM t") == 3
    await _assert_clean(database, 3)


async def test_nothing_takes_effect_after_an_exception(database: Postgres) -> None:
    """It passes through, and the connection comes back clean and open."""
    pid = await database.value(PID)
    with pytest.raises(KeyError):
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, id=2)
            raise KeyError
    assert await _assert_clean(database, 1) == pid


async def test_nothing_takes_effect_after_a_failed_statement(database: Postgres) -> None:
    """The statements before it are undone, too."""
    with pytest.raises(ConstraintViolated):
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, id=2)
            await transaction.execute(INSERT, id=1)
    await _assert_clean(database, 1)


async def test_a_failure_that_is_caught_inside_still_fails_the_whole(database: Postgres) -> None:
    """COMMIT would answer with success here, and silently do nothing."""
    with pytest.raises(ConstraintViolated):
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, id=2)
            with pytest.raises(ConstraintViolated):
                await transaction.execute(INSERT, id=1)
            with pytest.raises(QueryFailed):
                await transaction.execute(INSERT, id=3)
    await _assert_clean(database, 1)


async def test_a_parameter_that_is_missing_fails_the_whole(database: Postgres) -> None:
    """Nothing was sent, not even BEGIN: what follows must not take effect on its own."""
    with pytest.raises(KeyError):
        async with database.transaction() as transaction:
            with pytest.raises(KeyError):
                await transaction.execute(INSERT, other=2)
            with pytest.raises(QueryFailed):
                await transaction.execute(INSERT, id=2)
    await _assert_clean(database, 1)


async def test_a_rule_that_is_checked_at_commit_is_named(database: Postgres) -> None:
    """A deferred constraint fails COMMIT itself."""
    with pytest.raises(ConstraintViolated) as caught:
        async with database.transaction() as transaction:
            await transaction.execute(query("SET CONSTRAINTS ALL DEFERRED"))
            await transaction.execute(INSERT, id=1)
    assert caught.value.constraint == "t_pkey"
    await _assert_clean(database, 1)


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


async def test_a_callback_runs_after_commit_and_before_the_caller_goes_on(
    database: Postgres, table_url: str
) -> None:
    """It sees what was committed, in the order in which callbacks were given."""
    seen: list[object] = []

    async def look() -> None:
        seen.append(outside(table_url, "SELECT count(*) FROM t"))

    async with database.transaction() as transaction:
        transaction.after_commit(look)
        await transaction.execute(INSERT, id=2)
        transaction.after_commit(look)
        assert seen == []
    assert seen == [2, 2]


async def test_a_callback_does_not_run_after_a_rollback(database: Postgres) -> None:
    """What did not happen is not told to anybody."""
    seen: list[object] = []

    async def look() -> None:
        seen.append(1)

    with pytest.raises(KeyError):
        async with database.transaction() as transaction:
            transaction.after_commit(look)
            await transaction.execute(INSERT, id=2)
            raise KeyError
    assert seen == []


async def test_a_callback_that_fails_is_logged(database: Postgres) -> None:
    """The caller is not told that the work failed, for it did not; the other callbacks run."""
    seen: list[object] = []

    async def fail() -> None:
        raise ValueError("the cache is away")

    async def look() -> None:
        seen.append(1)

    with log_lines() as lines:
        async with database.transaction() as transaction:
            transaction.after_commit(fail)
            transaction.after_commit(look)
            await transaction.execute(INSERT, id=2)
    assert seen == [1]
    assert any("the cache is away" in line for line in lines)


async def test_a_task_that_is_cancelled_outside_of_a_statement_leaves_nothing(
    database: Postgres,
) -> None:
    """The open transaction ends with its connection."""
    inside = asyncio.Event()

    async def work() -> None:
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, id=2)
            inside.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _assert_clean(database, 1)


async def test_a_task_that_is_cancelled_in_a_statement_leaves_nothing(database: Postgres) -> None:
    """The connection is closed, and the server stops the statement and rolls back."""

    async def work() -> None:
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, id=2)
            await transaction.execute(query("SELECT pg_sleep(60)"))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await work()
    await _assert_clean(database, 1)


async def test_a_deadline_that_passes_before_commit_undoes_all(database: Postgres) -> None:
    """COMMIT is not even sent."""
    with within(0.1), pytest.raises(DeadlineExceeded):
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, id=2)
            await asyncio.sleep(0.12)
    await _assert_clean(database, 1)


async def test_a_transaction_cannot_be_used_after_its_end(database: Postgres) -> None:
    """A statement that comes too late would take effect on its own."""
    async with database.transaction() as transaction:
        assert await transaction.value(COUNT) == 1
    with pytest.raises(RuntimeError):
        await transaction.execute(INSERT, id=2)
    await _assert_clean(database, 1)


async def test_a_transaction_runs_one_statement_at_a_time(database: Postgres) -> None:
    """Two at once are refused, and the statement that is still running is cut off."""
    with pytest.raises(RuntimeError):
        async with database.transaction() as transaction:
            await asyncio.gather(
                transaction.execute(query("SELECT pg_sleep(60)")), transaction.execute(COUNT)
            )
    await _assert_clean(database, 1)


async def test_a_statement_that_nobody_waited_for_fails_the_whole(database: Postgres) -> None:
    """The end of the block does not wait for it, and does not commit half of the work."""
    with pytest.raises(RuntimeError):
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, id=2)
            stray = asyncio.create_task(transaction.execute(query("SELECT pg_sleep(60)")))
            await asyncio.sleep(0.02)
    with pytest.raises(DependencyUnavailable):
        await stray
    await _assert_clean(database, 1)


async def test_a_statement_that_starts_while_its_transaction_ends_is_refused(
    database: Postgres,
) -> None:
    """It waits for the pool when the block ends, and gives back what it then gets."""
    async with database.transaction() as holder:
        await holder.value(COUNT)
        with pytest.raises(RuntimeError):
            async with database.transaction() as transaction:
                stray = asyncio.create_task(transaction.execute(INSERT, id=2))
                await asyncio.sleep(0.02)
    with pytest.raises(RuntimeError):
        await stray
    await _assert_clean(database, 1)
