"""Limits that all processes share through Redis."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from gtsd.clock import Clock, FixedClock
from gtsd.dev.redis import EmbeddedRedis
from gtsd.stores.limits import Limit, Limits
from gtsd.stores.redis_pool import Command
from gtsd.telemetry.metrics import Metrics
from tests.support.redis import (
    administrator,
    impatient,
    opened,
    own_redis,
    until,
)
from tests.support.relay import Relay

ADDRESS = Limit("address", 20, 60)
LOGIN = Limit("login", 10, 900)
START = datetime(2026, 1, 1, tzinfo=UTC)


@contextlib.asynccontextmanager
async def process(url: str, clock: Clock, pepper: bytes = b"pepper") -> AsyncIterator[Limits]:
    """Limits with connections of their own, as another process has."""
    async with opened(url) as redis:
        yield Limits(redis, Metrics(), clock, pepper)


async def test_processes_share_a_limit_exactly(redis_url: str) -> None:
    """However many ask at the same moment, as many are allowed as may be."""
    clock = FixedClock(START)
    async with process(redis_url, clock) as one, process(redis_url, clock) as two:
        usages = await asyncio.gather(
            *((one, two)[number % 2].hit(ADDRESS, "192.0.2.7") for number in range(60))
        )
        assert len([usage for usage in usages if usage.allowed]) == 20
        refused = await two.hit(ADDRESS, "192.0.2.7")
        # Nothing is left of those that were refused: the wait is as if they had never come.
        assert refused.retry_after_s == 60
        clock.move(timedelta(seconds=60))
        assert (await one.hit(ADDRESS, "192.0.2.7")).allowed
        assert not (await two.hit(ADDRESS, "192.0.2.7")).allowed
        assert (await two.hit(ADDRESS, "192.0.2.8")).allowed


async def test_parallel_guesses_get_no_more_than_one_after_the_other(redis_url: str) -> None:
    """Each is counted before the password is looked at, and given back if it was right."""
    async with process(redis_url, FixedClock(START)) as limits:
        uses = [(LOGIN, "ann@example.org"), (ADDRESS, "192.0.2.7")]

        async def guess() -> bool:
            return all(usage.allowed for usage in await limits.hit_all(uses))

        assert sum(await asyncio.gather(*(guess() for _ in range(30)))) == 10
        assert await limits.is_exceeded(LOGIN, "ann@example.org")
        assert (await limits.peek(ADDRESS, "192.0.2.7")).remaining == 9
        await limits.give_back(uses)
        assert await guess()
        await limits.reset(LOGIN, "ann@example.org")
        assert (await limits.add(LOGIN, "ann@example.org", cost=4)).remaining == 6


async def test_several_limits_cost_one_round_trip(redis_server: EmbeddedRedis) -> None:
    """A refusal costs a second one, to take back what was counted."""
    async with (
        Relay(redis_server.port) as relay,
        process(relay.instead_of(redis_server.url), FixedClock(START)) as limits,
    ):
        relay.requests.clear()
        await limits.hit_all([(LOGIN, "cat"), (ADDRESS, "192.0.2.9")])
        assert len(relay.requests) == 1
        await limits.hit(ADDRESS, "192.0.2.9", cost=20)
        assert len(relay.requests) == 3


async def test_redis_holds_no_personal_data_and_nothing_for_ever(
    redis_server: EmbeddedRedis, redis_url: str
) -> None:
    """Subjects are hashed with a secret: who has a copy of Redis cannot even try addresses out."""
    async with process(redis_url, FixedClock(START)) as limits:
        await limits.hit(LOGIN, "ann@example.org")
        for _ in range(11):
            await limits.hit(LOGIN, "bob@example.org")
        await limits.give_back([(ADDRESS, "192.0.2.7")])
    async with process(redis_url, FixedClock(START), b"another") as elsewhere:
        assert (await elsewhere.hit(LOGIN, "bob@example.org")).allowed
    with administrator(redis_server.url) as admin:
        keys = {str(key): admin.pttl(key) for key in admin.keys("gtsd:limit:*")}
    assert len(keys) == 4
    assert not [key for key in keys if "example" in key or "192" in key]
    assert [key for key, left in keys.items() if not 0 < left <= 2 * 900_000 + 5_000] == []


async def test_a_clock_that_is_off_shifts_its_share_and_no_more(redis_url: str) -> None:
    """A host that is two seconds ahead counts in the next window already; soon they agree again."""
    behind = FixedClock(START + timedelta(seconds=59))
    ahead = FixedClock(START + timedelta(seconds=61))
    async with process(redis_url, behind) as one, process(redis_url, ahead) as two:
        allowed = 0
        for _ in range(40):
            allowed += (await one.hit(ADDRESS, "x")).allowed
            allowed += (await two.hit(ADDRESS, "x")).allowed
        # What a burst across the edge of two windows may win in any case, and no more.
        assert 20 < allowed <= 40
        behind.move(timedelta(seconds=2))
        assert await one.peek(ADDRESS, "x") == await two.peek(ADDRESS, "x")
        assert not (await one.hit(ADDRESS, "x")).allowed


async def test_limits_go_on_without_redis_and_return_to_it() -> None:
    """No request fails in between; each process counts by itself for that time."""
    clock = FixedClock(START)
    with own_redis() as server:
        async with opened(server.url) as redis:
            limits = Limits(redis, Metrics(), clock, b"pepper")
            usages = [await limits.hit(ADDRESS, "x") for _ in range(15)]
            server.kill()
            usages += [await limits.hit(ADDRESS, "x") for _ in range(25)]
            assert not redis.available
            assert [usage.allowed for usage in usages] == [True] * 35 + [False] * 5
            await limits.give_back([(ADDRESS, "x")])
            assert (await limits.hit(ADDRESS, "x")).allowed
            assert await limits.is_exceeded(ADDRESS, "x")
            await limits.reset(ADDRESS, "x")
            assert not await limits.is_exceeded(ADDRESS, "x")

            await asyncio.to_thread(server.start)
            await until(lambda: redis.available)
            assert (await limits.hit(ADDRESS, "x")).remaining == 19


async def test_a_refusal_whose_count_cannot_be_taken_back_is_still_a_refusal() -> None:
    """Redis went away between the two; what it counted too much expires."""
    with own_redis() as server:
        async with (
            Relay(server.port) as relay,
            opened(relay.instead_of(server.url)) as redis,
        ):
            limits = Limits(redis, Metrics(), FixedClock(START), b"pepper")
            await limits.add(ADDRESS, "x", cost=20)
            run, calls = redis.run, 0

            async def once(*commands: Command) -> list[Any]:
                nonlocal calls
                calls += 1
                relay.silent = calls > 1
                with impatient(redis, 0.2 if relay.silent else 2.0):
                    return await run(*commands)

            redis.run = once  # type: ignore[method-assign,assignment]  # to count the calls
            assert not (await limits.hit(ADDRESS, "x")).allowed
            assert calls == 2
            assert not redis.available
