"""No outage of Redis makes the cache serve what an answered write has replaced."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from gtsd.dev.redis import EmbeddedRedis
from gtsd.stores.cache import Cache
from gtsd.stores.redis import Redis
from gtsd.telemetry.metrics import Metrics
from tests.support.redis import administrator, impatient, opened, own_redis, until
from tests.support.relay import Relay

ME = 17


class Credulous(Cache):
    """The control: trusts a server that comes back as if it had never been away."""

    def _doubts(self) -> tuple[int, int]:
        return 0, 0


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedRedis]:
    """A server that these tests may kill."""
    with own_redis() as server:
        yield server


@contextlib.asynccontextmanager
async def process(url: str, kind: type[Cache] = Cache) -> AsyncIterator[tuple[Redis, Cache]]:
    """What one process has."""
    metrics = Metrics()
    async with opened(url, metrics) as redis:
        cache = kind(redis, metrics)
        await cache.read(ME, [])
        yield redis, cache


async def put(cache: Cache, content: bytes) -> None:
    await cache.store(ME, "today", content, (await cache.read(ME, ["today"])).version)


async def found(cache: Cache) -> bytes | None:
    return (await cache.read(ME, ["today"])).payloads.get("today")


def save(server: EmbeddedRedis) -> None:
    """What is there now is what a killed server comes back with."""
    with administrator(server.url) as admin:
        admin.save()


async def serves_old_data_after_a_restart(kind: type[Cache], server: EmbeddedRedis) -> bool:
    """A server that loses the last second, as each with the usual settings may."""
    async with process(server.url, kind) as (redis, cache):
        await put(cache, b"old")
        save(server)
        await cache.forget(ME)
        assert await found(cache) is None
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        await found(cache)
        await until(lambda: redis.available)
        return await found(cache) == b"old"


async def test_a_server_that_came_back_with_older_data_is_not_believed(
    own_server: EmbeddedRedis,
) -> None:
    """The old entry and its old version are both there again, and fit each other."""
    assert not await serves_old_data_after_a_restart(Cache, own_server)


async def test_a_cache_that_trusts_a_restarted_server_would_serve_old_data(
    own_server: EmbeddedRedis,
) -> None:
    """The control: without the epoch the test above fails."""
    assert await serves_old_data_after_a_restart(Credulous, own_server)


async def test_no_process_believes_a_server_that_came_back_with_older_data(
    own_server: EmbeddedRedis,
) -> None:
    """Also one that did not write itself, and one that has just started."""
    async with process(own_server.url) as (_, writer), process(own_server.url) as (redis, reader):
        await put(writer, b"old")
        assert await found(reader) == b"old"
        save(own_server)
        await writer.forget(ME)
        await asyncio.to_thread(own_server.kill)
        await asyncio.to_thread(own_server.start)
        async with process(own_server.url) as (_, newcomer):
            assert await found(newcomer) is None
        await found(reader)
        await until(lambda: redis.available)
        assert await found(reader) is None


async def test_a_server_that_was_restarted_while_it_was_silent_is_not_believed(
    own_server: EmbeddedRedis,
) -> None:
    """Nobody saw the restart: the connections had been given up before."""
    async with (
        Relay(own_server.port) as relay,
        opened(relay.instead_of(own_server.url)) as redis,
    ):
        cache = Cache(redis, Metrics())
        await put(cache, b"old")
        save(own_server)
        await cache.forget(ME)
        relay.silent = True
        with impatient(redis, 0.2):
            assert await found(cache) is None
        assert not redis.available
        await asyncio.to_thread(own_server.kill)
        await asyncio.to_thread(own_server.start)
        relay.silent = False
        await until(lambda: redis.available)
        assert await found(cache) is None


async def test_a_write_during_an_outage_is_made_up_for_before_the_cache_is_used_again(
    own_server: EmbeddedRedis,
) -> None:
    """Meanwhile reads go to the database, and the write does not wait for Redis."""
    async with Relay(own_server.port) as relay, process(own_server.url) as (_, other):
        way = relay.instead_of(own_server.url)
        metrics = Metrics()
        async with opened(way, metrics) as redis:
            cache = Cache(redis, metrics)
            await cache.read(ME, [])
            await put(cache, b"old")
            assert await found(other) == b"old"
            relay.silent = True
            with impatient(redis, 0.2):
                await cache.forget(ME)
            assert not redis.available
            assert await cache.fetch(ME, "today", new) == b"new"
            # Nothing was stored, and the old entry is still there for who can reach it.
            assert await found(other) == b"old"
            relay.silent = False
            # The return alone does it; nobody has to use the cache of this process.
            await until(lambda: redis.available)
            async with asyncio.timeout(5):
                while await found(other) is not None:
                    await asyncio.sleep(0.01)
            assert await found(cache) is None


async def new() -> bytes:
    return b"new"


async def test_the_cache_is_used_again_within_5_s_of_the_return_of_redis(
    own_server: EmbeddedRedis,
) -> None:
    """It heals by itself, empty."""
    async with process(own_server.url) as (redis, cache):
        await put(cache, b"old")
        await asyncio.to_thread(own_server.kill)
        assert (await cache.read(ME, ["today"])).version is None
        await cache.store(ME, "today", b"lost", b"token")
        await asyncio.to_thread(own_server.start)
        took = await until(lambda: redis.available)
        assert took < 5
        assert await cache.fetch(ME, "today", new) == b"new"
        assert await found(cache) == b"new"


async def test_a_connection_lost_during_a_read_makes_its_answer_doubtful(
    own_server: EmbeddedRedis,
) -> None:
    """An idle connection is replaced within the read itself, perhaps by one to another server."""
    async with process(own_server.url) as (redis, cache):
        await put(cache, b"old")
        save(own_server)
        await cache.forget(ME)
        await asyncio.to_thread(own_server.kill)
        await asyncio.to_thread(own_server.start)
        # The end of the old connection has arrived, and nobody has used it since.
        await asyncio.sleep(0.05)
        assert redis.available
        assert await found(cache) is None
        assert redis.available
        assert await found(cache) is None
