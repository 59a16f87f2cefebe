"""Time is up, or the client is gone: the statement ends here and on the server."""

from __future__ import annotations

import asyncio
import time

import pytest

from gtsd.deadline import within
from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.errors import DeadlineExceeded
from gtsd.stores.postgres import Postgres
from tests.support.aiopg_kinds import Kind, at_port, connection, eventually, value
from tests.support.database import opened, outside, query, running
from tests.support.pace import quickest, seconds
from tests.support.proxy import Verdict, proxy_to

SLEEP = query("SELECT pg_sleep(30)")
PID = query("SELECT pg_backend_pid()")
# Off, as it is in a server that nobody configured; the embedded one has it on for the whole.
NO_CHECK = "SET client_connection_check_interval = 0"


@pytest.fixture(scope="module")
def deadline_url(postgres_server: EmbeddedPostgres) -> str:
    """A database in which nothing runs but what these tests start."""
    return postgres_server.create_database("deadlines")


async def _stops(url: str, within: float) -> bool:
    async def stopped() -> bool:
        return await running(url) == 0

    return await eventually(stopped, within)


async def _goes_on(url: str) -> bool:
    """Whether the statement is still at work after a while; then it is ended."""
    stopped = await _stops(url, within=0.8)
    outside(
        url,
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    return not stopped


async def test_a_statement_ends_at_the_deadline_here_and_on_the_server(deadline_url: str) -> None:
    """Thirty seconds of work under 0.3 s: over in 0.5 s, and the connection is kept."""
    async with opened(deadline_url) as database:
        pid = await database.value(PID)

        async def expire() -> None:
            with within(0.3), pytest.raises(DeadlineExceeded):
                await database.value(SLEEP)

        assert await quickest(lambda: seconds(expire()), 0.5) < 0.5
        assert await running(deadline_url) == 0
        assert await database.value(PID) == pid


async def test_a_statement_without_a_deadline_of_its_own_runs_on_after_a_timeout(
    deadline_url: str,
) -> None:
    """The control: a timeout of the client alone leaves the server at work."""
    async with connection(Kind.MENDED, deadline_url) as conn:
        async with conn.cursor() as cursor:
            await cursor.execute(NO_CHECK)
        with pytest.raises(TimeoutError):
            await value(conn, "SELECT pg_sleep(30)", timeout=0.3)
        assert await _goes_on(deadline_url)


async def _cancel_while_it_runs(database: Postgres, deadline_url: str) -> None:
    task = asyncio.create_task(database.value(SLEEP))

    async def is_running() -> bool:
        return await running(deadline_url) == 1

    assert await eventually(is_running)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_statement_whose_task_is_cancelled_ends_on_the_server(deadline_url: str) -> None:
    """The client is gone long before its deadline: the server notices within half a second."""
    async with opened(deadline_url) as database:

        async def stop() -> float:
            await database.execute(query(NO_CHECK))
            with within(30):
                await _cancel_while_it_runs(database, deadline_url)
            return await seconds(_stops(deadline_url, within=5))

        # A quarter of a second is for looking; without it, the statement goes on for longer.
        assert await quickest(stop, 0.75) < 0.75
        assert database.pool_state.size == 0


async def test_a_statement_that_is_not_bounded_runs_on_after_a_cancellation(
    deadline_url: str,
) -> None:
    """The control: without what goes before each statement, nobody tells the server."""
    async with connection(Kind.MENDED, deadline_url) as conn:
        async with conn.cursor() as cursor:
            await cursor.execute(NO_CHECK)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await value(conn, "SELECT pg_sleep(30)")
        assert await _goes_on(deadline_url)


async def test_nothing_is_sent_when_no_time_is_left(deadline_url: str) -> None:
    """Not even a connection is opened."""
    async with opened(deadline_url) as database:
        with within(-1.0):
            with pytest.raises(DeadlineExceeded):
                await database.execute(query("CREATE TABLE late (id int)"))
            with pytest.raises(DeadlineExceeded):
                async with database.transaction() as transaction:
                    await transaction.execute(query("CREATE TABLE late (id int)"))
        assert outside(deadline_url, "SELECT to_regclass('late')") is None


async def test_each_statement_of_a_transaction_has_what_is_left(deadline_url: str) -> None:
    """The deadline is one for all of them, not a new one for each."""
    async with opened(deadline_url) as database:

        async def expire() -> None:
            with within(0.5), pytest.raises(DeadlineExceeded):
                async with database.transaction() as transaction:
                    await transaction.value(query("SELECT pg_sleep(0.3)"))
                    await transaction.value(SLEEP)

        assert await quickest(lambda: seconds(expire()), 0.7) < 0.7
        assert await running(deadline_url) == 0
        assert await database.value(query("SELECT current_setting('statement_timeout')")) == "0"


async def test_a_server_that_says_nothing_is_given_up_after_the_deadline(
    deadline_url: str, postgres_server: EmbeddedPostgres
) -> None:
    """A network that swallows packets: our own timeout ends the wait, and the connection."""
    async with (
        proxy_to(postgres_server.port) as proxy,
        opened(at_port(deadline_url, proxy.port)) as database,
    ):
        await database.value(PID)
        proxy.judge = lambda _: Verdict.SWALLOW
        start = time.monotonic()
        with within(0.2), pytest.raises(DeadlineExceeded):
            await database.value(PID)
        assert time.monotonic() - start < 2
        assert database.pool_state.size == 0


async def test_a_ping_gives_up_in_time(
    deadline_url: str, postgres_server: EmbeddedPostgres
) -> None:
    """False within its timeout, not after the pool's."""
    async with (
        proxy_to(postgres_server.port) as proxy,
        opened(at_port(deadline_url, proxy.port)) as database,
    ):
        assert await database.ping(1.0)
        proxy.judge = lambda _: Verdict.SWALLOW
        start = time.monotonic()
        assert not await database.ping(0.2)
        assert time.monotonic() - start < 2
