"""Random reads and writes: what is read is never older than what was answered before."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import pytest

from gtsd.dev.redis import EmbeddedRedis
from gtsd.stores.cache import Cache, Load
from gtsd.stores.redis import Redis
from gtsd.telemetry.metrics import Metrics
from tests.support.redis import administrator, opened, own_redis, until

USERS = range(4)
FIELD = "today"
ENOUGH_WRITES = 300


class Caching(Protocol):
    """What a cache of this kind has to be able to do."""

    async def fetch(self, user_id: int, field: str, load: Load) -> bytes: ...

    async def forget(self, user_id: int) -> None: ...


class NaiveCache:
    """The control: what everybody writes first. A write deletes, a reader stores."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def fetch(self, user_id: int, field: str, load: Load) -> bytes:
        key = f"gtsd:naive:{user_id}:{field}"
        [content] = await self._redis.run(("GET", key))
        if content is None:
            content = await load()
            await self._redis.run(("SET", key, content, "EX", 60))
        assert isinstance(content, bytes)
        return content

    async def forget(self, user_id: int) -> None:
        await self._redis.run(("DEL", f"gtsd:naive:{user_id}:{FIELD}"))


class World:
    """A database of one number a user, that takes its time, and what clients were told of it."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._numbers = Counter[int]()
        self._answered = Counter[int]()
        self.loads = 0
        self.reads = 0
        self.writes = 0
        self.stale: list[tuple[int, int, int]] = []

    async def _pause(self) -> None:
        await asyncio.sleep(self._random.choice((0, 0, 0.001, 0.004)))

    async def read(self, cache: Caching) -> None:
        """A client's read; it must see all that was answered before it began."""
        user = self._random.choice(USERS)
        known = self._answered[user]

        async def load() -> bytes:
            self.loads += 1
            await self._pause()
            number = self._numbers[user]
            await self._pause()
            return str(number).encode()

        seen = int(await cache.fetch(user, FIELD, load))
        self.reads += 1
        if seen < known:
            self.stale.append((user, seen, known))

    async def write(self, cache: Caching) -> None:
        """A client's write: commit, then forget, then answer."""
        user = self._random.choice(USERS)
        await self._pause()
        self._numbers[user] += 1
        mine = self._numbers[user]
        await self._pause()
        await cache.forget(user)
        self._answered[user] = max(self._answered[user], mine)
        self.writes += 1

    async def client(self, cache: Caching, is_over: Callable[[], bool]) -> None:
        """One request after the other, until the end."""
        while not is_over():
            await (self.write if self._random.random() < 0.1 else self.read)(cache)
            await self._pause()

    async def run(self, caches: Sequence[Caching], is_over: Callable[[], bool]) -> None:
        """Sixteen clients, spread over the processes; a bound for who never sees enough."""
        async with asyncio.timeout(30):
            await asyncio.gather(
                *(self.client(caches[number % len(caches)], is_over) for number in range(16))
            )


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedRedis]:
    """A server that these tests may kill."""
    with own_redis() as server:
        yield server


async def test_no_read_is_older_than_a_write_that_was_answered_before_it(
    own_server: EmbeddedRedis,
) -> None:
    """Three processes, each with a cache of its own on the same Redis."""
    world = World(seed=1)
    metrics = Metrics()
    async with (
        opened(own_server.url) as one,
        opened(own_server.url) as two,
        opened(own_server.url) as three,
    ):
        caches = [Cache(redis, metrics) for redis in (one, two, three)]
        await world.run(caches, lambda: world.writes >= ENOUGH_WRITES)
    assert world.stale == []
    # It was a cache at work, not a database.
    assert world.loads < world.reads / 2


async def test_a_naive_cache_serves_old_data_in_the_same_world(own_server: EmbeddedRedis) -> None:
    """The control: the test above can fail."""
    world = World(seed=1)
    async with opened(own_server.url) as one, opened(own_server.url) as two:
        await world.run(
            [NaiveCache(one), NaiveCache(two)],
            lambda: bool(world.stale) or world.writes >= ENOUGH_WRITES,
        )
    assert world.stale


@pytest.mark.parametrize("comes_back", ["empty", "with older data"])
async def test_killing_redis_in_the_middle_makes_no_read_old(
    own_server: EmbeddedRedis, comes_back: str
) -> None:
    """While it is away the database is read; afterwards the cache works again."""
    world = World(seed=2)
    metrics = Metrics()
    async with opened(own_server.url, metrics) as redis:
        cache = Cache(redis, metrics)
        over = asyncio.Event()
        working = asyncio.create_task(world.run([cache], over.is_set))
        for _ in range(2):
            before = hits(metrics)
            await until(lambda: hits(metrics) > before + 100, 20)  # noqa: B023 - used at once
            with administrator(own_server.url) as admin:
                if comes_back == "empty":
                    admin.flushall()
                await asyncio.to_thread(admin.save)
            after = world.writes
            await until(lambda: world.writes > after + 5, 20)  # noqa: B023 - used at once
            await asyncio.to_thread(own_server.kill)
            await asyncio.to_thread(own_server.start)
            await until(lambda: redis.available, 20)
        before = hits(metrics)
        await until(lambda: hits(metrics) > before + 100, 20)
        over.set()
        await working
        assert world.stale == []


def hits(metrics: Metrics) -> float:
    labels = {"cache": FIELD, "result": "hit"}
    return metrics.registry.get_sample_value("gtsd_cache_requests_total", labels) or 0
