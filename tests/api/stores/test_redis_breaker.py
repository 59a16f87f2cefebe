"""What happens to calls while Redis is away, and how it comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from gtsd import deadline
from gtsd.dev.redis import EmbeddedRedis
from gtsd.stores.redis import Redis, RedisAway
from gtsd.telemetry.metrics import Metrics
from tests.support.redis import administrator, impatient, logged, opened, own_redis, until
from tests.support.relay import Relay

PAUSE = 0.15


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedRedis]:
    """A server that these tests may kill and spoil."""
    with own_redis() as server:
        yield server


@pytest.fixture
async def relay(own_server: EmbeddedRedis) -> AsyncIterator[Relay]:
    """A way to that server which can go silent."""
    async with Relay(own_server.port) as way:
        yield way


async def refused(store: Redis) -> float:
    """How long a call takes to be refused."""
    began = time.perf_counter()
    with pytest.raises(RedisAway):
        await store.run(("GET", "gtsd:x"))
    return time.perf_counter() - began


def up(metrics: Metrics) -> float:
    value = metrics.registry.get_sample_value("gtsd_redis_up")
    assert value is not None
    return value


async def test_a_killed_server_costs_one_call_and_is_used_within_5_s_of_its_return(
    own_server: EmbeddedRedis,
) -> None:
    """After the first failure nobody waits, and nobody has to ask for the way back."""
    metrics = Metrics()
    async with opened(own_server.url, metrics) as store:
        assert await store.run(("SET", "gtsd:x", "1")) == [b"OK"]
        own_server.kill()
        await refused(store)
        assert not store.available
        assert up(metrics) == 0
        # All hundred in less than what one of them may wait.
        assert sum([await refused(store) for _ in range(100)]) < 2
        assert not await store.ping(1)

        await asyncio.to_thread(own_server.start)
        assert await until(lambda: store.available) < 5
        assert await store.run(("PING",)) == [b"PONG"]
        assert await store.ping(1)
        assert up(metrics) == 1


async def test_a_silent_server_costs_the_timeout_once(
    own_server: EmbeddedRedis, relay: Relay
) -> None:
    """A host that fell over answers nothing at all; calls at the same time wait together."""
    async with opened(relay.instead_of(own_server.url), redis_timeout=PAUSE) as store:
        relay.silent = True
        began = time.perf_counter()
        await asyncio.gather(*(refused(store) for _ in range(30)))
        assert PAUSE <= time.perf_counter() - began < 15 * PAUSE
        assert min([await refused(store) for _ in range(5)]) < PAUSE / 3
        relay.silent = False
        assert await until(lambda: store.available) < 5
        assert await store.run(("PING",)) == [b"PONG"]


async def test_idle_connections_of_a_silent_server_are_not_used_again(
    own_server: EmbeddedRedis, relay: Relay
) -> None:
    """Each of them would cost a request its timeout after the breaker has closed."""
    async with opened(relay.instead_of(own_server.url)) as store:
        await asyncio.gather(*(store.run(("PING",)) for _ in range(10)))
        before = relay.connections
        relay.silent = True
        with impatient(store, PAUSE):
            await refused(store)
        relay.silent = False
        await until(lambda: store.available)
        await asyncio.gather(*(store.run(("PING",)) for _ in range(10)))
        assert relay.connections > before


async def test_a_call_waits_no_longer_than_its_request_may(
    own_server: EmbeddedRedis, relay: Relay
) -> None:
    """A request short of time says nothing about Redis, so the breaker stays closed."""
    async with opened(relay.instead_of(own_server.url)) as store:
        relay.silent = True
        with deadline.within(0.05):
            # The timeout of Redis is 2 s.
            assert await refused(store) < 1.5
            assert await refused(store) < 1.5
        assert store.available
        relay.silent = False
        assert await store.run(("PING",)) == [b"PONG"]


async def test_a_call_that_does_not_heed_the_deadline_is_made_after_it(
    own_server: EmbeddedRedis,
) -> None:
    """What follows a commit has to happen, whatever time is left to answer."""
    async with opened(own_server.url) as store:
        with deadline.within(-1):
            await refused(store)
            assert await store.run(("PING",), heed_deadline=False) == [b"PONG"]
        assert store.available


async def test_a_server_that_takes_no_writes_is_away_until_it_does(
    own_server: EmbeddedRedis,
) -> None:
    """It still answers PING, so a probe by PING would let every request fail again."""
    with administrator(own_server.url) as admin:
        async with opened(own_server.url) as store:
            admin.config_set("maxmemory", "1")
            try:
                with logged() as lines, pytest.raises(RedisAway, match="maxmemory"):
                    await store.run(("PING",), ("SET", "gtsd:x", "1"))
                assert [line for line in lines if "away" in line]
                assert await store_stays_away(store)
            finally:
                admin.config_set("maxmemory", "0")
            assert await until(lambda: store.available) < 5


async def store_stays_away(store: Redis) -> bool:
    """Whether it is not used for longer than a probe takes to come."""
    until_then = time.monotonic() + 1.3
    while time.monotonic() < until_then:
        if store.available:
            return False
        await asyncio.sleep(0.02)
    return True


async def test_who_waits_for_the_return_is_called_after_it(own_server: EmbeddedRedis) -> None:
    """The cache has something to make up for before it is used again."""
    calls: list[bool] = []
    async with opened(own_server.url) as store:

        async def note() -> None:
            calls.append(store.available)

        store.on_return(note)
        own_server.kill()
        await refused(store)
        await asyncio.to_thread(own_server.start)
        await until(lambda: bool(calls))
        assert calls == [True]


async def test_a_store_can_be_opened_before_its_server_and_closed_without_it(
    own_server: EmbeddedRedis,
) -> None:
    """Neither a start nor a stop of the service depends on Redis."""
    own_server.stop()
    try:
        with logged() as lines:
            async with opened(own_server.url) as store:
                assert store.configured
                assert not store.available
                for _ in range(20):
                    await refused(store)
        # Once for the change of state, not once a request.
        assert len([line for line in lines if "away" in line]) == 1
    finally:
        own_server.start()


async def test_a_lost_connection_changes_the_generation_even_if_nobody_was_using_it(
    own_server: EmbeddedRedis,
) -> None:
    """Behind the new connection may be a server that has forgotten what it acknowledged."""
    async with opened(own_server.url) as store:
        await store.run(("PING",))
        generation = store.generation
        await store.run(("PING",))
        assert store.generation == generation
        await asyncio.to_thread(own_server.restart)
        assert await store.run(("PING",)) == [b"PONG"]
        assert store.generation > generation
