"""Opens the Redis store as the service does, and reads what it measures and logs."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import redis
from loguru import logger

from gtsd.dev.redis import EmbeddedRedis
from gtsd.settings import Settings
from gtsd.stores.redis import Redis
from gtsd.telemetry.metrics import Metrics

# What production grants, apart from the password: see the module's docstring.
PRODUCTION_ACL = "on >word resetchannels resetkeys ~gtsd:* +@all -@dangerous -@scripting"


def settings(**given: Any) -> Settings:
    """Settings with what is required filled in. Redis has 2 s, because test machines are busy."""
    required = {"database_url": "postgresql://unused", "jwt_secret": "s" * 32, "redis_timeout": 2.0}
    return Settings(**{**required, **given})


@contextlib.asynccontextmanager
async def opened(
    url: str | None, metrics: Metrics | None = None, **given: Any
) -> AsyncIterator[Redis]:
    """A store that is closed at the end."""
    store = await Redis.open(settings(redis_url=url, **given), metrics or Metrics())
    try:
        yield store
    finally:
        await store.close()


@contextlib.contextmanager
def impatient(store: Redis, seconds: float) -> Iterator[None]:
    """A shorter timeout for as long as the server is silent; elsewhere a busy machine needs it."""
    usual, store._timeout = store._timeout, seconds
    try:
        yield
    finally:
        store._timeout = usual


@contextlib.contextmanager
def own_redis(**options: str) -> Iterator[EmbeddedRedis]:
    """A server that a test may kill and spoil. It keeps nothing, unless it is told to SAVE."""
    folder = Path(tempfile.mkdtemp(prefix="gtsd-redis-"))
    # As root the server runs under another account, which has to pass through.
    folder.chmod(0o711)
    try:
        with EmbeddedRedis(folder / "redis", options={"appendonly": "no", **options}) as server:
            yield server
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def administrator(url: str) -> Iterator[redis.Redis]:
    """A client of another make, to arrange things and to look at what is there."""
    client = redis.Redis.from_url(url)
    try:
        yield client
    finally:
        client.close()


def restricted(url: str) -> str:
    """The same server, for a user that may do no more than in production."""
    with administrator(url) as admin:
        # redis-py leaves this method untyped.
        admin.execute_command(  # type: ignore[no-untyped-call]
            "ACL", "SETUSER", "gtsd", *PRODUCTION_ACL.split()
        )
    return f"redis://gtsd:word@{url.partition('@')[2]}"


@contextlib.contextmanager
def logged() -> Iterator[list[str]]:
    """The messages logged meanwhile."""
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="DEBUG")
    try:
        yield lines
    finally:
        logger.remove(sink)


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> float:
    """Wait for it, and return how long that took; AssertionError if it takes longer."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it did not happen"
        await asyncio.sleep(0.005)
    return time.monotonic() - began
