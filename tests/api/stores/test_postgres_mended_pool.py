"""Each defect of aiopg's pool, mended and as shipped."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import psycopg2
import pytest

from gtsd.dev.postgres import EmbeddedPostgres
from tests.support.aiopg_kinds import PATIENCE, Kind, at_port, eventually, pool, value
from tests.support.proxy import proxy_to

# aiopg as shipped leaves connections behind when it fails, and says so.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


async def _close(conn: Any) -> None:
    await conn.close()


async def _begin(conn: Any) -> None:
    async with conn.cursor() as cursor:
        await cursor.execute("BEGIN")


_spoilt = pytest.mark.parametrize("spoil", [_close, _begin], ids=["closed", "in a transaction"])


async def _wait_for_a_spoilt_connection(kind: Kind, dsn: str, spoil: Any) -> int:
    async with pool(kind, dsn, maxsize=1) as conns:
        first = await conns.acquire()
        waiting = asyncio.create_task(_use(conns))
        await asyncio.sleep(0.02)
        await spoil(first)
        conns.release(first)
        return await waiting


async def _use(conns: Any) -> int:
    async with conns.acquire() as conn:
        return int(await value(conn, "SELECT 1"))


@_spoilt
async def test_a_waiter_is_woken_when_a_connection_comes_back_unusable(
    spoil: Any, store_url: str
) -> None:
    """The place is free, so another connection is opened for who waits."""
    assert await _wait_for_a_spoilt_connection(Kind.MENDED, store_url, spoil) == 1


@_spoilt
async def test_a_waiter_as_shipped_sleeps_on_when_a_connection_comes_back_unusable(
    spoil: Any, store_url: str
) -> None:
    """The defect: nobody tells it, and it waits until its timeout."""
    with pytest.raises(TimeoutError):
        await _wait_for_a_spoilt_connection(Kind.SHIPPED, store_url, spoil)


async def test_a_connection_inside_a_transaction_is_not_handed_on(store_url: str) -> None:
    """The next caller would commit, or lose, what is not his."""
    async with pool(Kind.MENDED, store_url, 1) as conns:
        first = await conns.acquire()
        await _begin(first)
        conns.release(first)
        assert first.closed


async def _lose_an_idle_one_while_connecting(kind: Kind, dsn: str, target: int) -> int:
    async with proxy_to(target) as proxy, pool(kind, at_port(dsn, proxy.port), 2, 2) as conns:
        first, second = await conns.acquire(), await conns.acquire()
        conns.release(first)
        conns.release(second)
        proxy.gate.clear()
        await proxy.cut(0)
        assert await eventually(_closed(first, second, 1))
        using = asyncio.create_task(_use(conns))
        await asyncio.sleep(0.05)
        await proxy.cut(1)
        assert await eventually(_closed(first, second, 2))
        proxy.gate.set()
        return await using


def _closed(first: Any, second: Any, number: int) -> Callable[[], Any]:
    async def reached() -> bool:
        return bool(bool(first.closed) + bool(second.closed) >= number)

    return reached


async def test_an_idle_connection_may_die_while_another_is_opened(
    store_url: str, postgres_server: EmbeddedPostgres
) -> None:
    """Whoever asks gets a connection that lives."""
    port = postgres_server.port
    assert await _lose_an_idle_one_while_connecting(Kind.MENDED, store_url, port) == 1


async def test_an_idle_connection_that_dies_as_shipped_is_handed_out(
    store_url: str, postgres_server: EmbeddedPostgres
) -> None:
    """The defect: an assertion fails, and without assertions the dead connection is used."""
    with pytest.raises(AssertionError):
        await _lose_an_idle_one_while_connecting(Kind.SHIPPED, store_url, postgres_server.port)


async def _ask_beside_a_slow_connect(kind: Kind, dsn: str, target: int) -> int:
    async with proxy_to(target) as proxy, pool(kind, at_port(dsn, proxy.port), 2) as conns:
        first = await conns.acquire()
        proxy.gate.clear()
        slow = asyncio.create_task(_use(conns))
        await asyncio.sleep(0.02)
        conns.release(first)
        try:
            async with asyncio.timeout(PATIENCE[kind] / 2):
                return await _use(conns)
        finally:
            slow.cancel()
            await asyncio.gather(slow, return_exceptions=True)


async def test_a_slow_connect_delays_nobody_else(
    store_url: str, postgres_server: EmbeddedPostgres
) -> None:
    """A connection that comes back meanwhile is used at once."""
    port = postgres_server.port
    assert await _ask_beside_a_slow_connect(Kind.MENDED, store_url, port) == 1


async def test_a_slow_connect_as_shipped_delays_everybody(
    store_url: str, postgres_server: EmbeddedPostgres
) -> None:
    """The defect: it is made inside the lock that every caller needs."""
    with pytest.raises(TimeoutError):
        await _ask_beside_a_slow_connect(Kind.SHIPPED, store_url, postgres_server.port)


def _restart_cleanly(server: EmbeddedPostgres) -> None:
    server.restart()


def _restart_immediately(server: EmbeddedPostgres) -> None:
    os.kill(server.pid, signal.SIGQUIT)  # "immediate": no good-byes, recovery at the next start
    server.restart()


def _kill_backends(server: EmbeddedPostgres) -> None:
    server.administer(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'gtsd'"
    )


_ends = pytest.mark.parametrize("end", [_restart_cleanly, _restart_immediately, _kill_backends])


async def _ask_after_the_end(
    kind: Kind, server: EmbeddedPostgres, end: Callable[[EmbeddedPostgres], None]
) -> int:
    async with pool(kind, server.dsn(), 2) as conns:
        assert await _use(conns) == 1
        end(server)  # blocks the event loop, so that it cannot notice before we ask
        return await _use(conns)


@_ends
async def test_the_first_statement_after_the_end_of_its_connection_succeeds(
    end: Any, own_postgres: EmbeddedPostgres
) -> None:
    """What lies in the socket is read before anything is sent: no request is lost."""
    assert await _ask_after_the_end(Kind.MENDED, own_postgres, end) == 1


@_ends
async def test_the_first_statement_as_shipped_is_lost_after_the_end_of_its_connection(
    end: Any, own_postgres: EmbeddedPostgres
) -> None:
    """The defect: it goes out over a connection that the server has closed."""
    with pytest.raises(psycopg2.Error):
        await _ask_after_the_end(Kind.SHIPPED, own_postgres, end)


async def _ask_after_the_good_bye(kind: Kind, server: EmbeddedPostgres) -> int:
    async with (
        proxy_to(server.port) as proxy,
        pool(kind, at_port(server.dsn(), proxy.port), 1) as conns,
    ):
        assert await _use(conns) == 1
        proxy.keep_open = True
        _kill_backends(server)
        await asyncio.sleep(0.1)  # the event loop reads the good-bye; no end of file follows
        return await _use(conns)


async def test_a_connection_that_said_good_bye_is_not_used_again(
    own_postgres: EmbeddedPostgres,
) -> None:
    """Between its last words and the end of its socket a statement would be lost."""
    assert await _ask_after_the_good_bye(Kind.MENDED, own_postgres) == 1


async def test_a_connection_that_said_good_bye_as_shipped_is_used_again(
    own_postgres: EmbeddedPostgres,
) -> None:
    """The defect: the good-bye is kept as a notice that nobody reads."""
    with pytest.raises((TimeoutError, psycopg2.Error)):
        await _ask_after_the_good_bye(Kind.SHIPPED, own_postgres)


async def test_a_waiter_that_is_cancelled_at_the_handover_passes_it_on(store_url: str) -> None:
    """Nothing leaks: the connection goes to the next in the queue."""
    async with pool(Kind.MENDED, store_url, 1) as conns:
        first = await conns.acquire()
        unlucky = asyncio.create_task(_use(conns))
        lucky = asyncio.create_task(_use(conns))
        await asyncio.sleep(0.02)
        assert conns.waiting == 2
        conns.release(first)
        unlucky.cancel()
        assert await lucky == 1
        assert unlucky.cancelled() or unlucky.cancelling()
        assert (conns.used, conns.waiting, conns.freesize) == (0, 0, 1)


async def test_a_cancelled_waiter_leaves_the_queue(store_url: str) -> None:
    """The connection that is opened for it serves the next."""
    async with pool(Kind.MENDED, store_url, 1) as conns:
        waiting = asyncio.create_task(_use(conns))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert (conns.used, conns.waiting) == (0, 0)
        assert await _use(conns) == 1
        assert conns.size == 1


async def test_a_closed_pool_turns_everybody_away(store_url: str) -> None:
    """Who waits is told, who holds a connection may finish, who comes later is refused."""
    async with pool(Kind.MENDED, store_url, 1) as conns:
        held = await conns.acquire()
        waiting = asyncio.create_task(_use(conns))
        await asyncio.sleep(0.02)
        conns.close()
        with pytest.raises(psycopg2.InterfaceError):
            await waiting
        assert await value(held, "SELECT 1") == 1
        closing = asyncio.create_task(conns.wait_closed())
        await asyncio.sleep(0)
        assert not closing.done()
        conns.release(held)
        await closing
        assert held.closed
        with pytest.raises(psycopg2.InterfaceError):
            await conns.acquire()


async def test_a_connection_that_dies_on_its_way_to_the_next_is_replaced(store_url: str) -> None:
    """Handed over, and lost before the waiter came to run."""
    async with pool(Kind.MENDED, store_url, 1) as conns:
        first = await conns.acquire()
        waiting = asyncio.create_task(_use(conns))
        await asyncio.sleep(0.02)
        conns.release(first)
        await first.close()
        assert await waiting == 1
        assert conns.size == 1


async def test_a_connection_that_is_given_back_twice_is_refused(store_url: str) -> None:
    """Two callers would share it, and read each other's answers."""
    async with pool(Kind.MENDED, store_url, 1) as conns:
        conn = await conns.acquire()
        conns.release(conn)
        with pytest.raises(KeyError):
            conns.release(conn)
