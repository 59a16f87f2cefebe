"""Each defect of aiopg that a statement or a connect runs into, mended and as shipped."""

from __future__ import annotations

import asyncio
import importlib
import os
import resource
import select
import socket
import sys
from collections.abc import Iterator

import aiopg
import psycopg2
import pytest
from psycopg2 import errors

from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.stores import aiopg_mended
from tests.support.aiopg_kinds import PATIENCE, Kind, at_port, connect, connection, pool, value

# aiopg as shipped leaves connections behind when it fails, and says so.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """The next descriptor that the process gets is above 1024, as in a busy server."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    taken = [os.open("/dev/null", os.O_RDONLY)]
    while taken[-1] <= 1024:
        taken.append(os.dup(taken[0]))
    yield
    for descriptor in taken:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port at which nothing listens, kept from others."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def _time_out(kind: Kind, dsn: str) -> int:
    async with connection(kind, dsn) as conn:
        await value(conn, "SELECT set_config('statement_timeout', '50', false)")
        with pytest.raises(errors.QueryCanceled):
            await value(conn, "SELECT pg_sleep(5)")
        return int(await value(conn, "SELECT 1"))


async def test_a_statement_timeout_is_an_error_of_the_database(store_url: str) -> None:
    """It arrives as QueryCanceled, and the connection goes on working."""
    assert await _time_out(Kind.MENDED, store_url) == 1


async def test_a_statement_timeout_as_shipped_looks_like_a_cancelled_task(
    store_url: str,
) -> None:
    """The defect: CancelledError, though nobody cancelled anything."""
    with pytest.raises(asyncio.CancelledError):
        await _time_out(Kind.SHIPPED, store_url)


async def _fail_above_1024(kind: Kind, dsn: str) -> None:
    async with connection(kind, dsn) as conn:
        assert conn.raw.fileno() > 1024
        assert await value(conn, "SELECT 1") == 1
        await value(conn, "SELECT 1/0", timeout=PATIENCE[kind])


async def test_an_error_is_told_on_a_descriptor_above_1024(
    store_url: str, many_descriptors: None
) -> None:
    """A process with a thousand clients hears of failed statements at once."""
    with pytest.raises(errors.DivisionByZero):
        await _fail_above_1024(Kind.MENDED, store_url)


async def test_an_error_as_shipped_is_never_told_on_a_descriptor_above_1024(
    store_url: str, many_descriptors: None
) -> None:
    """The defect: the callback dies in select(), and the statement hangs until its timeout."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    with pytest.raises((TimeoutError, ValueError)):
        await _fail_above_1024(Kind.SHIPPED, store_url)


async def test_a_dead_first_host_is_passed_over(
    store_url: str, postgres_server: EmbeddedPostgres, dead_port: int
) -> None:
    """The second host of the DSN answers."""
    dsn = at_port(store_url, dead_port, postgres_server.port)
    async with connection(Kind.MENDED, dsn) as conn:
        assert await value(conn, "SELECT 1") == 1


async def test_a_dead_first_host_as_shipped_ends_the_connect(
    store_url: str, postgres_server: EmbeddedPostgres, dead_port: int
) -> None:
    """The defect: libpq has gone on to the next socket, aiopg watches the first."""
    dsn = at_port(store_url, dead_port, postgres_server.port)
    with pytest.raises((OSError, psycopg2.Error)):
        await connect(Kind.SHIPPED, dsn, timeout=1.0)


async def _cancel_at_the_answer(kind: Kind, dsn: str) -> bool:
    """Whether the task ended as cancelled."""
    async with connection(kind, dsn) as conn:
        task = asyncio.create_task(value(conn, "SELECT pg_sleep(0.1)"))
        await asyncio.sleep(0)  # it has sent the statement and waits
        # The answer comes while the event loop does not look.
        assert select.select([conn.raw], [], [], 10)[0]
        conn._ready(conn._weakref)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()


async def test_a_cancellation_that_meets_the_answer_counts(store_url: str) -> None:
    """A client that left at that moment does not get its work done on."""
    assert await _cancel_at_the_answer(Kind.MENDED, store_url)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="mended in Python 3.12")
async def test_a_cancellation_as_shipped_may_be_lost(store_url: str) -> None:
    """The defect: wait_for() of Python 3.11 prefers the answer, and the task goes on."""
    assert not await _cancel_at_the_answer(Kind.SHIPPED, store_url)


@pytest.mark.parametrize("kind", list(Kind))
async def test_a_client_timeout_closes_the_connection(kind: Kind, store_url: str) -> None:
    """The answer may still come: nobody may read it as the answer to something else."""
    async with connection(kind, store_url) as conn:
        with pytest.raises(TimeoutError):
            await value(conn, "SELECT pg_sleep(5)", timeout=0.1)
        assert conn.closed


async def test_a_backend_that_is_killed_at_work_is_an_error_of_the_database(
    store_url: str, postgres_server: EmbeddedPostgres
) -> None:
    """The caller hears of it, and the next one gets another connection."""
    async with pool(Kind.MENDED, store_url, 1) as conns:
        conn = await conns.acquire()
        pid = await conn.get_backend_pid()
        task = asyncio.create_task(value(conn, "SELECT pg_sleep(5)"))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(
            postgres_server.administer, "SELECT pg_terminate_backend(%s::int)", str(pid)
        )
        with pytest.raises(psycopg2.OperationalError):
            await task
        assert conn.closed
        conns.release(conn)
        async with conns.acquire() as another:
            assert await another.get_backend_pid() != pid


async def test_notifications_arrive(store_url: str) -> None:
    """What aiopg offers beside statements still works."""
    async with connection(Kind.MENDED, store_url) as conn:
        async with conn.cursor() as cursor:
            await cursor.execute("LISTEN news")
            await cursor.execute("NOTIFY news, 'hello'")
        async with asyncio.timeout(2):
            assert (await conn.notifies.get()).payload == "hello"


def test_another_version_of_aiopg_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The overrides reach into its internals: nobody may update it without comparing them."""
    assert aiopg.__version__ == "1.4.0"
    monkeypatch.setattr(aiopg, "__version__", "1.4.1")
    with pytest.raises(ImportError, match="compare"):
        importlib.reload(aiopg_mended)
