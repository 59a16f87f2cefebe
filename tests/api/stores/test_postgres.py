"""Statements, the pool and what failures mean, on a real server."""

from __future__ import annotations

import asyncio
import socket
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gtsd.deadline import within
from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.errors import DeadlineExceeded, DependencyUnavailable
from gtsd.stores import postgres as store
from gtsd.stores.postgres import ConstraintViolated, Postgres, Query, QueryFailed, Retryable
from gtsd.telemetry.metrics import Metrics
from tests.support.aiopg_kinds import at_port, eventually
from tests.support.database import log_lines, opened, outside, query, settings_for


@pytest.fixture
async def database(store_url: str) -> AsyncIterator[Postgres]:
    """A store with a table of one row."""
    outside(
        store_url,
        "DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY,"
        " word text NOT NULL CONSTRAINT t_word UNIQUE CONSTRAINT t_length CHECK (length(word) < 9),"
        " parent int CONSTRAINT t_parent REFERENCES t); INSERT INTO t VALUES (1, 'one')",
    )
    async with opened(store_url) as database:
        yield database


async def test_an_answer_is_read_in_four_ways(database: Postgres) -> None:
    """A row, rows, a value, a count; with and without parameters."""
    pair = query("SELECT n, %(word)s FROM generate_series(1, 2) AS n")
    assert await database.row(pair, word="x") == (1, "x")
    assert await database.rows(pair, word="x") == [(1, "x"), (2, "x")]
    assert await database.value(pair, word="x") == 1
    assert await database.execute(query("UPDATE t SET word = 'two%'")) == 1
    nothing = query("SELECT 1 WHERE false")
    assert await database.row(nothing) is None
    assert await database.rows(nothing) == []
    assert await database.value(nothing) is None


@pytest.mark.parametrize(
    ("sql", "constraint"),
    [
        ("INSERT INTO t VALUES (2, 'one')", "t_word"),
        ("INSERT INTO t VALUES (1, 'two')", "t_pkey"),
        ("INSERT INTO t VALUES (2, repeat('x', 9))", "t_length"),
        ("INSERT INTO t VALUES (2, 'two', 9)", "t_parent"),
        ("INSERT INTO t VALUES (2, NULL)", "word"),
    ],
)
async def test_a_broken_rule_is_named(database: Postgres, sql: str, constraint: str) -> None:
    """The caller learns which constraint, or for NOT NULL which column, and nothing else."""
    with pytest.raises(ConstraintViolated) as caught:
        await database.execute(query(sql))
    assert caught.value.constraint == constraint


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("SELECT 'canary'::int", "22P02"),
        ("SELECT nothing FROM t", "42703"),
        ("SELECT canary canary canary", "42601"),
        ("UPDATE t SET word = 'canary' || word RETURNING 1/0", "22012"),
    ],
)
async def test_a_statement_that_can_never_succeed_is_our_fault(
    database: Postgres, sql: str, sqlstate: str
) -> None:
    """It carries the code, and neither it nor the log carries a word of the statement."""
    with log_lines() as lines, pytest.raises(QueryFailed) as caught:
        await database.value(query(sql))
    assert caught.value.sqlstate == sqlstate
    assert any(sqlstate in line for line in lines)
    told = "".join(lines) + "".join(traceback.format_exception(caught.value))
    assert "canary" not in told.replace(__name__, "")


async def test_a_value_of_a_row_is_never_told(database: Postgres) -> None:
    """The server's message quotes the duplicate; the log and the traceback do not."""
    insert = query("INSERT INTO t VALUES (%(id)s, %(word)s)")
    word = f"{'canary'}@x"  # so that the traceback's lines of code do not hold it
    await database.execute(insert, id=2, word=word)
    with log_lines() as lines, pytest.raises(ConstraintViolated) as caught:
        await database.execute(insert, id=3, word=word)
    assert word not in "".join(lines) + "".join(traceback.format_exception(caught.value))


async def test_reading_rows_of_a_statement_without_any_is_our_fault(database: Postgres) -> None:
    """A mistake in the code becomes QueryFailed, and the connection stays usable."""
    with pytest.raises(QueryFailed):
        await database.row(query("UPDATE t SET word = 'two'"))
    assert await database.value(query("SELECT word FROM t")) == "two"


async def test_a_read_only_server_is_unavailable_and_its_connection_is_dropped(
    database: Postgres,
) -> None:
    """After a switch-over the next statement goes to whoever is the primary by then."""
    pid = await database.value(query("SELECT pg_backend_pid()"))
    await database.execute(query("SET default_transaction_read_only = on"))
    with pytest.raises(DependencyUnavailable):
        await database.execute(query("INSERT INTO t VALUES (2, 'two')"))
    assert await database.execute(query("INSERT INTO t VALUES (2, 'two')")) == 1
    assert await database.value(query("SELECT pg_backend_pid()")) != pid


async def test_a_full_server_is_unavailable(
    database_url: str, postgres_server: EmbeddedPostgres
) -> None:
    """Too many connections: the caller hears so at once."""
    name = database_url.rpartition("/")[2]
    postgres_server.administer(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    async with opened(database_url) as database:
        with pytest.raises(DependencyUnavailable):
            await database.value(query("SELECT 1"))
        assert not await database.ping(1.0)


async def test_a_lost_race_may_be_tried_again(database: Postgres) -> None:
    """A lock that was not had within its time is Retryable, which a client sees as 503."""
    lock = query("SELECT 1 FROM t WHERE id = 1 FOR UPDATE NOWAIT")
    async with database.transaction() as first:
        await first.row(lock)
        with pytest.raises(Retryable) as caught:
            await database.row(lock)
    assert caught.value.status == 503


async def test_a_server_that_is_away_is_told_at_once(postgres_server: EmbeddedPostgres) -> None:
    """A refused connect fails each of a hundred callers at once, not after the timeout of 3 s."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dead = at_port(postgres_server.dsn(), taken.getsockname()[1])
        async with opened(dead) as database:
            start = time.monotonic()
            answers = await asyncio.gather(
                *(database.value(query("SELECT 1")) for _ in range(100)), return_exceptions=True
            )
            assert time.monotonic() - start < 2.5
            assert {type(answer) for answer in answers} == {DependencyUnavailable}
            assert not await database.ping(1.0)


async def test_a_connect_that_fails_with_nobody_waiting_is_logged(
    postgres_server: EmbeddedPostgres,
) -> None:
    """The first connection is opened at the start, so that an operator sees what is wrong."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dead = at_port(postgres_server.dsn(), taken.getsockname()[1])

        async def logged() -> bool:
            return any("nobody waits" in line and "refused" in line for line in lines)

        with log_lines() as lines:
            async with opened(dead):
                assert await eventually(logged)


async def test_the_server_may_come_later(own_postgres: EmbeddedPostgres) -> None:
    """Opening needs no server; the first statement after its start succeeds."""
    own_postgres.stop()
    try:
        async with opened(own_postgres.dsn()) as database:
            assert not await database.ping(1.0)
            await asyncio.to_thread(own_postgres.start)
            assert await database.ping(1.0)
    finally:
        own_postgres.start()


async def test_a_full_pool_is_told_after_the_pool_timeout(store_url: str) -> None:
    """The queue is shown while it lasts; who waited too long gets DependencyUnavailable."""
    metrics = Metrics()
    async with opened(
        store_url, metrics, database_pool_size=1, database_pool_timeout=0.6
    ) as database:
        assert _gauge(metrics, "gtsd_db_pool_connections", state="limit") == 1
        async with database.transaction() as holder:
            await holder.value(query("SELECT 1"))
            waiting = asyncio.create_task(database.value(Query("late", "SELECT 1")))
            await asyncio.sleep(0)
            assert database.pool_state == (1, 1, 1, 1)
            assert _gauge(metrics, "gtsd_db_pool_connections", state="open") == 1
            assert _gauge(metrics, "gtsd_db_pool_connections", state="used") == 1
            assert _gauge(metrics, "gtsd_db_pool_waiting") == 1
            with pytest.raises(DependencyUnavailable):
                await waiting
        assert database.pool_state == (1, 0, 0, 1)
    errors = _gauge(metrics, "gtsd_db_query_errors_total", operation="late", kind="unavailable")
    assert errors == 1


async def test_waiting_for_the_pool_ends_at_the_deadline(store_url: str) -> None:
    """The nearer of the two bounds counts, and says which it was."""
    async with (
        opened(store_url, database_pool_size=1) as database,
        database.transaction() as holder,
    ):
        await holder.value(query("SELECT 1"))
        start = time.monotonic()
        with within(0.1), pytest.raises(DeadlineExceeded):
            await database.value(query("SELECT 1"))
        assert time.monotonic() - start < 2


async def test_each_operation_is_timed(store_url: str) -> None:
    """The histogram counts every statement under its name."""
    metrics = Metrics()
    async with opened(store_url, metrics) as database:
        for _ in range(3):
            await database.value(Query("counted", "SELECT 1"))
    name = "gtsd_db_query_duration_seconds_count"
    assert _gauge(metrics, name, operation="counted") == 3


async def test_an_idle_connection_grows_old_and_goes(
    database: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Firewalls forget silent connections; one that was idle too long is not used again."""
    pool = database._link.pool
    pid = await database.value(query("SELECT pg_backend_pid()"))
    assert await database.value(query("SELECT pg_backend_pid()")) == pid
    monkeypatch.setattr(pool, "_recycle", -1.0)
    assert await database.value(query("SELECT pg_backend_pid()")) != pid


async def test_closing_waits_a_bounded_time_for_what_is_in_use(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement that goes on is cut off, and its caller told."""
    monkeypatch.setattr(store, "_CLOSE_SECONDS", 0.1)
    database = await Postgres.open(settings_for(store_url), Metrics())
    sleeping = asyncio.create_task(database.value(query("SELECT pg_sleep(30)")))
    assert await eventually(_in_use(database))
    await database.close()
    with pytest.raises(DependencyUnavailable):
        await sleeping
    with pytest.raises(DependencyUnavailable):
        await database.value(query("SELECT 1"))


def _in_use(database: Postgres) -> Callable[[], Awaitable[bool]]:
    async def used() -> bool:
        return database.pool_state.used == 1

    return used


def _gauge(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)
