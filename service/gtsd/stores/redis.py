"""Redis, which may vanish at any time: whoever uses it must be able to go on without.

A command that fails or is not answered in time opens the breaker, and from then on every call
raises ``RedisAway`` at once instead of waiting. A background probe closes it when Redis takes
writes again. Only plain commands are used: a production ACL forbids scripts (EVAL, EVALSHA,
FUNCTION) and all of ``@dangerous``, and confines us to keys that begin with ``gtsd:``.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from loguru import logger
from redis import exceptions as refusals

from gtsd import deadline
from gtsd.stores.redis_pool import Command, Pool, make_pool
from gtsd.telemetry import tracing

if TYPE_CHECKING:
    from gtsd.settings import Settings
    from gtsd.telemetry.metrics import Metrics

PREFIX = "gtsd:"
PROBE_KEY = PREFIX + "probe"

# With these answers the server says that it is there but cannot serve us now; to a request that is
# the same as a server that is away. Any other error answer is a fault of ours, and is raised.
AWAY = frozenset(
    {"LOADING", "READONLY", "OOM", "MISCONF", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "BUSY"}
    | {"NOAUTH", "WRONGPASS", "NOPERM", "MOVED", "ASK", "TRYAGAIN"}
)


class RedisAway(Exception):
    """Redis is not configured, unreachable, too slow or refuses to serve; never shown to a client."""


class Redis:
    """A pool of connections behind a breaker."""

    def __init__(self, pool: Pool | None, timeout: float, metrics: Metrics) -> None:
        self._pool = pool
        self._timeout = timeout
        self._up = metrics.redis_up
        self._available = pool is not None
        self._failures = 0
        self._on_return: list[Callable[[], Awaitable[None]]] = []
        self._probing: asyncio.Task[None] | None = None
        self._up.set(int(self._available))

    @classmethod
    async def open(cls, settings: Settings, metrics: Metrics) -> Redis:
        """Connect if there is a server; without a URL the result is never available, and silent."""
        if settings.redis_url is None:
            return cls(None, settings.redis_timeout, metrics)
        pool = await make_pool(
            settings.redis_url, settings.redis_max_connections, settings.redis_timeout
        )
        redis = cls(pool, settings.redis_timeout, metrics)
        with contextlib.suppress(RedisAway):  # the breaker is open then, and that was logged
            await redis._check(settings.redis_timeout)
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
        """Rises whenever a connection was lost, and with the first one.

        The server behind a new connection may be another one, or the old one restarted from older
        data: what it acknowledged before may be gone.
        """
        return self._failures + (self._pool.reconnects if self._pool else 0)

    def on_return(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call this each time Redis is available again; it may raise ``RedisAway``, nothing else."""
        self._on_return.append(callback)

    async def run(self, *commands: Command, heed_deadline: bool = True) -> list[Any]:
        """Send all commands at once and return their replies in order, as RESP 2 has them: bytes,
        int, list or None.

        Raises ``RedisAway``. It waits for at most the Redis timeout or, unless that is not to be
        heeded, for what the request has left.
        """
        if self._pool is None or not self._available:
            raise RedisAway("the breaker is open" if self._pool else "not configured")
        left = deadline.remaining() if heed_deadline else None
        allowed = self._timeout if left is None else min(self._timeout, left)
        return await self._send(self._pool, commands, allowed)

    async def ping(self, timeout: float) -> bool:
        """Whether Redis takes a write within so many seconds; False at once while it is away."""
        if not self._available:
            return False
        try:
            await self._check(timeout)
        except RedisAway:
            return False
        return True

    async def close(self) -> None:
        """Stop probing and close all connections."""
        self._available = False
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        if self._pool is not None:
            await self._pool.drop()

    async def _send(self, pool: Pool, commands: tuple[Command, ...], allowed: float) -> list[Any]:
        operation = str(commands[0][0]) if len(commands) == 1 else "PIPELINE"
        attributes = {"db.system.name": "redis", "db.operation.name": operation}
        with tracing.span(f"redis {operation}", tracing.CLIENT, attributes):
            try:
                async with asyncio.timeout(allowed):
                    return await pool.exchange(commands)
            except TimeoutError:
                # With less time than usual the silence says nothing about Redis.
                if allowed >= self._timeout:
                    self._lose(f"no answer within {allowed:g} s")
                raise RedisAway("no answer in time") from None
            except (refusals.ConnectionError, OSError) as error:
                self._lose(_reason(error))
                raise RedisAway(_reason(error)) from error
            except refusals.ResponseError as error:
                if _code(error) not in AWAY:
                    raise
                self._lose(_reason(error))
                raise RedisAway(_reason(error)) from error

    async def _check(self, timeout: float) -> None:
        # A write, because a full, read-only or misconfigured server still answers PING.
        if self._pool is None:
            raise RedisAway("not configured")
        await self._send(self._pool, (("SET", PROBE_KEY, "1", "EX", 60),), timeout)

    def _lose(self, reason: str) -> None:
        self._failures += 1
        if not self._available:
            return
        self._available = False
        self._up.set(0)
        logger.warning("Redis is away, going on without it: {}", reason)
        self._probing = asyncio.get_running_loop().create_task(self._probe())

    async def _probe(self) -> None:
        """Try about once a second until Redis takes a write, then let everybody use it again."""
        assert self._pool is not None
        # Connections that lie idle may be dead too; each would cost a request its timeout.
        await self._pool.drop()
        while not self._available:
            # Jittered: many processes lost it at the same moment.
            await asyncio.sleep(random.uniform(0.5, 1.0))
            with contextlib.suppress(RedisAway):
                await self._pool.reload()
                await self._check(self._timeout)
                await self._return()

    async def _return(self) -> None:
        self._available = True
        self._up.set(1)
        logger.info("Redis is back")
        for callback in self._on_return:
            await callback()


def _code(error: Exception) -> str:
    """The first word of an error answer, which redis-py cuts off from those that it knows."""
    return getattr(error, "status_code", None) or str(error).partition(" ")[0]


def _reason(error: Exception) -> str:
    return f"{_code(error)} {error}".strip() if _code(error) in AWAY else str(error)
