"""Redis, which may vanish at any time: whoever uses it must be able to go on without.

A call that fails or is not answered in time opens the breaker, and from then on every call raises
``RedisAway`` at once instead of waiting. A background probe closes it when Redis takes writes
again. Only plain commands are sent: the ACL of production forbids scripts (EVAL, EVALSHA) and all
of ``@dangerous``, and confines us to keys that begin with ``gtsd:``.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from loguru import logger
from redis import exceptions as failures

from gtsd import deadline
from gtsd.stores.redis_pool import Command, Pool, make_pool
from gtsd.telemetry import tracing

if TYPE_CHECKING:
    from gtsd.settings import Settings
    from gtsd.telemetry.metrics import Metrics

PREFIX = "gtsd:"
PROBE: Command = ("SET", f"{PREFIX}probe", "1", "EX", 60)


class RedisAway(Exception):
    """Redis is not configured, unreachable, too slow or refuses; never shown to a client."""


@cache  # operations are named in the code
def _attributes(operation: str) -> dict[str, str]:
    return {"db.system.name": "redis", "db.operation.name": operation}


class Sent(NamedTuple):
    """Commands that are on their way, or are to be sent once there is a connection."""

    commands: tuple[Command, ...]
    replies: asyncio.Future[list[Any]] | None

    @property
    def arrived(self) -> bool:
        """Whether the answer is there: it was sent with another call's, which was waited for."""
        return self.replies is not None and self.replies.done()

    def forget(self) -> None:
        """Nobody waits for the answer any more."""
        if self.replies is not None:
            self.replies.cancel()


class Redis:
    """A pool of connections behind a breaker."""

    def __init__(self, pool: Pool | None, timeout: float, metrics: Metrics) -> None:
        self._pool = pool
        self._timeout = timeout
        self._up = metrics.redis_up
        self._available = pool is not None
        self._on_return: list[Callable[[], Awaitable[None]]] = []
        self._probing: asyncio.Task[None] | None = None
        self._up.set(int(self._available))

    @classmethod
    async def open(cls, settings: Settings, metrics: Metrics) -> Redis:
        """Try the server once; without a URL the result is never available, and silent.

        Raises ValueError or OSError for a wrong URL or certificate file, not for a server that is
        away.
        """
        pool = None
        if settings.redis_url is not None:
            pool = await make_pool(
                settings.redis_url, settings.redis_max_connections, settings.redis_timeout
            )
        redis = cls(pool, settings.redis_timeout, metrics)
        await redis.ping(settings.redis_timeout)
        return redis

    @property
    def configured(self) -> bool:
        """Whether there is a server to be used at all."""
        return self._pool is not None

    @property
    def available(self) -> bool:
        """Whether the next call is going to be sent."""
        return self._available

    @property
    def generation(self) -> int:
        """Rises with each connection that is lost.

        The server behind the next one may have lost what it had acknowledged: restarted from older
        data, or another server altogether.
        """
        return self._pool.losses if self._pool else 0

    def on_return(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Have this called whenever Redis is available again; it must raise nothing."""
        self._on_return.append(callback)

    async def run(self, *commands: Command, heed_deadline: bool = True) -> list[Any]:
        """Send all commands at once; their replies are in order and as RESP 2 has them: bytes, int,
        list or None. It is no transaction: others' commands may come in between.

        Raises ``RedisAway``, also for an error answer. Waits for at most the Redis timeout and,
        where it is heeded, for what the deadline of the request leaves.
        """
        return await self.answer(self.send(*commands), heed_deadline=heed_deadline)

    def send(self, *commands: Command) -> Sent:
        """As ``run``, whose second half is ``answer``: what is sent in between goes out with it."""
        pool = self._pool
        if pool is None or not self._available:
            raise RedisAway("the breaker is open" if pool else "not configured")
        return Sent(commands, pool.start(commands, self._timeout))

    async def answer(self, sent: Sent, *, heed_deadline: bool = True) -> list[Any]:
        """The replies to what was sent; may be awaited once. Raises as ``run``."""
        if self._pool is None or not self._available:
            sent.forget()
            raise RedisAway("the breaker is open" if self._pool else "not configured")
        left = deadline.remaining() if heed_deadline else None
        allowed = self._timeout if left is None else min(self._timeout, left)
        if sent.arrived:
            # The span of the other call has the time of both.
            return await self._answer(self._pool, sent, allowed)
        operation = str(sent.commands[0][0]) if len(sent.commands) == 1 else "PIPELINE"
        with tracing.span(f"redis {operation}", tracing.CLIENT, _attributes(operation)):
            return await self._answer(self._pool, sent, allowed)

    async def ping(self, within: float) -> bool:
        """Whether Redis takes a write within so many seconds; False at once while it is away."""
        if self._pool is None or not self._available:
            return False
        return await self._takes_writes(self._pool, within)

    async def close(self) -> None:
        """Stop probing and close all connections; calls raise ``RedisAway`` from here on."""
        self._available = False
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        if self._pool is not None:
            self._pool.close()

    async def _answer(self, pool: Pool, sent: Sent, allowed: float) -> list[Any]:
        try:
            if sent.replies is None:
                replies = await pool.exchange(sent.commands, allowed)
            elif allowed >= self._timeout:
                replies = await sent.replies  # the connection's own clock is for all of them
            else:
                replies = await self._hurried(pool, sent.replies, allowed)
            for reply in replies:
                if isinstance(reply, failures.ResponseError):
                    raise reply
            return replies
        except asyncio.CancelledError:
            # The answer may never come, and those of others only after it.
            pool.drop()
            raise
        except TimeoutError:
            # With less time than usual, silence says nothing of Redis.
            if allowed >= self._timeout:
                self._lose(f"no answer within {allowed:g} s")
            raise RedisAway("no answer in time") from None
        except failures.DataError:
            raise
        except (failures.RedisError, OSError) as error:
            # An error answer too: a server that is loading, full, read-only or that denies us a
            # command is of no more use to a request than one that is gone.
            self._lose(f"{type(error).__name__}: {error}")
            raise RedisAway(str(error)) from error

    @staticmethod
    async def _hurried(pool: Pool, replies: asyncio.Future[list[Any]], allowed: float) -> list[Any]:
        try:
            async with asyncio.timeout(allowed):
                return await replies
        except TimeoutError:
            pool.drop()  # as above
            raise

    async def _takes_writes(self, pool: Pool, within: float) -> bool:
        # Not PING, which a full, read-only or misconfigured server still answers.
        try:
            sent = Sent((PROBE,), pool.start((PROBE,), self._timeout))
            await self._answer(pool, sent, within)
        except RedisAway:
            return False
        return True

    def _lose(self, reason: str) -> None:
        if not self._available:
            return
        self._available = False
        self._up.set(0)
        logger.warning("Redis is away, going on without it: {}", reason)
        if self._pool is not None:
            self._probing = asyncio.get_running_loop().create_task(self._probe(self._pool))

    async def _probe(self, pool: Pool) -> None:
        """Try about once a second until Redis takes a write, then let everybody use it again."""
        # Idle connections may be dead as well; each would cost a request its timeout.
        pool.drop()
        while not self._available:
            # Jittered, because many processes lost it at the same moment.
            await asyncio.sleep(random.uniform(0.5, 1.0))  # noqa: S311 - guards nothing
            try:
                await pool.reload()
            except OSError as error:
                logger.warning("Going on with the old certificates for Redis: {}", error)
            if await self._takes_writes(pool, self._timeout):
                self._return()
        for callback in self._on_return:
            await callback()

    def _return(self) -> None:
        self._available = True
        self._up.set(1)
        logger.info("Redis is back")
