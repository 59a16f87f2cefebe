"""When the cache sets a fresh epoch, shown with a Redis that does what the test says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from gtsd.stores.cache import EPOCH, Cache
from gtsd.stores.redis import Redis, Sent
from gtsd.stores.redis_pool import Command
from gtsd.telemetry.metrics import Metrics


class Scripted:
    """Stands in for Redis; counts the epochs that are set."""

    def __init__(self) -> None:
        self.available = True
        self.generation = 0
        self.epochs = 0
        self.lost_while_setting = 0

    def on_return(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Never called here."""

    def send(self, *commands: Command) -> Sent:
        """Nothing goes out before it is asked for."""
        return Sent(commands, None)

    async def answer(self, sent: Sent) -> list[Any]:
        return await self.run(*sent.commands)

    async def run(self, *commands: Command) -> list[Any]:
        if commands[0][:2] == ("SET", EPOCH) and len(commands) == 1:
            self.epochs += 1
            self.generation += self.lost_while_setting
            self.lost_while_setting = 0
            return [b"OK"]
        if commands[0] == ("GET", EPOCH):
            return [b"epoch", [b"version", b"epochversioncontent"]]
        return [None] * len(commands)


def made() -> tuple[Scripted, Cache]:
    redis = Scripted()
    return redis, Cache(cast(Redis, redis), Metrics())


async def test_an_epoch_is_set_once_and_again_after_each_loss() -> None:
    """Not with each read, and not for nothing."""
    redis, cache = made()
    for _ in range(3):
        assert (await cache.read(1, ["x"])).payloads == {"x": b"content"}
    assert redis.epochs == 1
    redis.generation += 1
    for _ in range(3):
        assert (await cache.read(1, ["x"])).payloads == {"x": b"content"}
    assert redis.epochs == 2


async def test_a_loss_while_the_epoch_is_being_set_makes_it_be_set_again() -> None:
    """The server that took it may not be the one that is read from afterwards."""
    redis, cache = made()
    redis.lost_while_setting = 1
    assert (await cache.read(1, ["x"])).payloads == {}
    assert (await cache.read(1, ["x"])).payloads == {"x": b"content"}
    assert redis.epochs == 2


async def test_a_version_that_is_evicted_as_soon_as_it_is_set_makes_a_bypass() -> None:
    """A server without memory must not make a request fail."""
    redis, cache = made()
    redis.generation = 0
    await cache.read(1, ["x"])

    async def forgetful(*commands: Command) -> list[Any]:
        return [None, [None, None]] if commands[0][0] == "GET" else [None] * len(commands)

    redis.run = forgetful  # type: ignore[method-assign]  # another script
    found = await cache.read(1, ["x"])
    assert (found.payloads, found.version) == ({}, None)
