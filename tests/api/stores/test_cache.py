"""What the cache serves, and above all what it never serves again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gtsd import deadline
from gtsd.dev.redis import EmbeddedRedis
from gtsd.errors import DeadlineExceeded
from gtsd.stores.cache import Cache
from gtsd.telemetry.metrics import Metrics
from tests.support.redis import administrator, opened
from tests.support.relay import Relay

ME = 17
KEY = f"gtsd:user:{ME}"


@contextlib.asynccontextmanager
async def process(url: str | None, metrics: Metrics | None = None) -> AsyncIterator[Cache]:
    """A cache with a connection of its own, as another process has."""
    metrics = metrics or Metrics()
    async with opened(url, metrics) as redis:
        yield Cache(redis, metrics)


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[Cache]:
    async with process(redis_url) as ours:
        yield ours


def loading(*contents: bytes) -> Callable[[], Awaitable[bytes]]:
    """A load that gives these, one after the other, and fails when it is asked once more."""
    left = list(contents)

    async def load() -> bytes:
        return left.pop(0)

    return load


async def put(cache: Cache, field: str, content: bytes) -> None:
    """Cache this, as a reader does that missed it."""
    await cache.store(ME, field, content, (await cache.read(ME, [field])).version)


async def test_what_was_stored_is_found_by_every_process(redis_url: str, cache: Cache) -> None:
    """Any bytes, none included; a field that nobody stored is not there."""
    async with process(redis_url) as other:
        await other.read(ME, ["warm"])
        await put(cache, "profile", b"\x00|name")
        await put(cache, "empty", b"")
        found = await other.read(ME, ["profile", "today", "empty"])
        assert found.payloads == {"profile": b"\x00|name", "empty": b""}
        assert found.version is not None
        assert (await other.read(ME + 1, ["profile"])).payloads == {}


async def test_several_fields_cost_one_round_trip(redis_server: EmbeddedRedis) -> None:
    """The hot path reads the account and the day of a user at once."""
    async with Relay(redis_server.port) as relay, process(relay.instead_of(redis_server.url)) as c:
        await put(c, "profile", b"p")
        await put(c, "today", b"t")
        relay.requests.clear()
        assert (await c.read(ME, ["profile", "today"])).payloads == {"profile": b"p", "today": b"t"}
        assert len(relay.requests) == 1


async def test_a_write_ends_all_fields_of_its_user_and_of_nobody_else(
    redis_url: str, cache: Cache
) -> None:
    """In every process."""
    async with process(redis_url) as other:
        await other.read(ME, ["warm"])
        await put(cache, "profile", b"p")
        await put(cache, "today", b"t")
        theirs = await cache.read(ME + 1, ["profile"])
        await cache.store(ME + 1, "profile", b"theirs", theirs.version)
        await other.forget(ME)
        for reader in (cache, other):
            assert (await reader.read(ME, ["profile", "today"])).payloads == {}
            assert (await reader.read(ME + 1, ["profile"])).payloads == {"profile": b"theirs"}


async def test_what_was_loaded_before_a_write_is_not_served_however_late_it_is_stored(
    cache: Cache,
) -> None:
    """The race of every cache: load, write, invalidate, store."""
    slow = await cache.read(ME, ["today"])
    await cache.forget(ME)
    await cache.store(ME, "today", b"old", slow.version)
    assert (await cache.read(ME, ["today"])).payloads == {}


@pytest.mark.parametrize("lost", ["everything", "the user", "the epoch"])
async def test_what_was_loaded_before_redis_forgot_something_is_not_served(
    redis_server: EmbeddedRedis, cache: Cache, lost: str
) -> None:
    """Evicted or flushed: a version that is gone never comes back."""
    slow = await cache.read(ME, ["today"])
    await cache.forget(ME)
    with administrator(redis_server.url) as admin:
        if lost == "everything":
            admin.flushall()
        else:
            admin.delete(KEY if lost == "the user" else "gtsd:epoch")
    fresh = await cache.read(ME, ["today"])
    assert fresh.version != slow.version
    await cache.store(ME, "today", b"old", slow.version)
    assert (await cache.read(ME, ["today"])).payloads == {}
    await cache.store(ME, "today", b"new", fresh.version)
    assert (await cache.read(ME, ["today"])).payloads == {"today": b"new"}


async def test_an_entry_expires_and_no_other_entry_prolongs_it(
    redis_server: EmbeddedRedis, cache: Cache
) -> None:
    """The last resort against all that nobody thought of; nothing is left behind either."""
    await put(cache, "profile", b"p")
    with administrator(redis_server.url) as admin:
        assert 55 < admin.ttl(KEY) <= 60
        admin.expire(KEY, 20)
        await put(cache, "today", b"t")
        assert 15 < admin.ttl(KEY) <= 20
        token = (await cache.read(ME, [])).version
        admin.delete(KEY)
        await cache.store(ME, "today", b"t", token)
        assert 55 < admin.ttl(KEY) <= 60
        await cache.forget(ME + 1)
        assert 55 < admin.ttl(f"gtsd:user:{ME + 1}") <= 60


async def test_a_new_process_does_not_trust_what_it_finds(redis_url: str, cache: Cache) -> None:
    """It cannot know whether Redis lost something before; all begin anew, once."""
    await put(cache, "today", b"t")
    async with process(redis_url) as newcomer:
        assert (await newcomer.read(ME, ["today"])).payloads == {}
        assert (await cache.read(ME, ["today"])).payloads == {}
        await put(cache, "today", b"again")
        assert (await newcomer.read(ME, ["today"])).payloads == {"today": b"again"}


async def test_everything_can_be_forgotten_at_once(cache: Cache) -> None:
    """After a change that concerns all users."""
    await put(cache, "today", b"t")
    await cache.forget_everything()
    assert (await cache.read(ME, ["today"])).payloads == {}


async def test_a_write_that_was_cancelled_while_it_forgot_is_made_up_for(
    redis_server: EmbeddedRedis,
) -> None:
    """It may have been committed; its client has gone, but the user reads on."""
    async with Relay(redis_server.port) as relay, process(relay.instead_of(redis_server.url)) as c:
        await put(c, "today", b"old")
        relay.silent = True
        forgetting = asyncio.create_task(c.forget(ME))
        await asyncio.sleep(0.05)
        forgetting.cancel()
        await asyncio.gather(forgetting, return_exceptions=True)
        relay.silent = False
        assert (await c.read(ME, ["today"])).payloads == {}


async def test_a_write_that_was_cancelled_before_it_could_forget_is_made_up_for(
    redis_url: str,
) -> None:
    """While it waits for a connection nothing is lost by which anybody could tell."""
    async with opened(redis_url, redis_max_connections=1) as redis:
        cache = Cache(redis, Metrics())
        await put(cache, "today", b"old")
        busy = asyncio.create_task(redis.run(("BLPOP", "gtsd:nothing", 0.2)))
        await asyncio.sleep(0)
        forgetting = asyncio.create_task(cache.forget(ME))
        await asyncio.sleep(0.05)
        forgetting.cancel()
        await asyncio.gather(forgetting, return_exceptions=True)
        assert await busy == [None]
        assert redis.generation == 0
        assert (await cache.read(ME, ["today"])).payloads == {}


async def test_a_write_is_forgotten_even_after_its_deadline(redis_url: str) -> None:
    """It happened, whatever its client is told; and it costs nobody else the cache."""
    async with opened(redis_url) as redis:
        cache = Cache(redis, Metrics())
        await put(cache, "today", b"old")
        with deadline.within(-1):
            await cache.forget(ME)
        assert (await cache.read(ME, ["today"])).payloads == {}
        assert redis.generation == 0


async def test_fetch_loads_what_is_missing_once(cache: Cache) -> None:
    """A crowd of readers is one query: the first loads, the others find what it stored."""
    load = loading(b"loaded")
    assert (
        await asyncio.gather(*(cache.fetch(ME, "today", load) for _ in range(50)))
        == [b"loaded"] * 50
    )
    assert await cache.fetch(ME, "today", load) == b"loaded"
    await cache.forget(ME)
    assert await cache.fetch(ME, "today", loading(b"newer")) == b"newer"


async def test_without_redis_a_crowd_costs_two_loads() -> None:
    """One that is under way, and one for all who came meanwhile."""
    async with process(None) as cache:
        load = loading(b"first", b"second")
        answers = await asyncio.gather(*(cache.fetch(ME, "today", load) for _ in range(50)))
        assert answers == [b"first"] + [b"second"] * 49
        await cache.forget(ME)
        await cache.forget_everything()


async def test_a_failed_load_is_told_to_all_and_not_kept(cache: Cache) -> None:
    """The next reader tries again."""

    async def fail() -> bytes:
        raise LookupError

    outcomes = await asyncio.gather(
        *(cache.fetch(ME, "today", fail) for _ in range(3)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [LookupError] * 3
    assert await cache.fetch(ME, "today", loading(b"loaded")) == b"loaded"


async def test_who_has_time_left_does_not_fail_with_the_deadline_of_another() -> None:
    """A shared load has the deadline of whoever began it."""

    async def load() -> bytes:
        await asyncio.sleep(0.05)
        left = deadline.remaining()
        if left is not None and left < 0:
            raise DeadlineExceeded
        return b"loaded"

    async with process(None) as cache:

        async def patient() -> bytes:
            return await cache.fetch(ME, "today", load)

        async def hurried() -> bytes:
            with deadline.within(0.01):
                return await cache.fetch(ME, "today", load)

        outcomes = await asyncio.gather(patient(), hurried(), patient(), return_exceptions=True)
        assert outcomes[0] == outcomes[2] == b"loaded"
        assert isinstance(outcomes[1], DeadlineExceeded)


async def test_hits_misses_and_bypasses_are_counted_by_field(redis_url: str) -> None:
    """A bypass is a read that Redis was not there for. A day is no label: it would never end."""
    metrics = Metrics()
    async with process(redis_url, metrics) as cache, process(None, metrics) as without:
        await cache.fetch(ME, "today", loading(b"t"))
        await cache.fetch(ME, "today", loading())
        await cache.read(ME, ["today:2026-01-31", "profile"])
        await without.read(ME, ["today"])

    def count(field: str, result: str) -> float | None:
        labels = {"cache": field, "result": result}
        return metrics.registry.get_sample_value("gtsd_cache_requests_total", labels)

    assert [count("today", result) for result in ("hit", "miss", "bypass")] == [1, 2, 1]
    assert [count("profile", result) for result in ("hit", "miss")] == [None, 1]
