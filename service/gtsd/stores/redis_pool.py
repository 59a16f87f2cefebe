"""Connections to Redis: made from a URL, verified, and used for one exchange at a time.

redis-py's own pools wait, lock and report through so many coroutines that they double the time of
a small command, and replace a lost connection without telling anybody. The cache must be told
(``Pool.losses``), because the server behind the next connection may have lost its memory.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from redis import exceptions as refusals
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

Command = tuple[str | bytes | int | float, ...]


class Trust:
    """The TLS context that all connections share, read anew from its files on ``load``."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._ca: str | None = options.get("ssl_ca_certs")
        self._certificate: str | None = options.get("ssl_certfile")
        self._key: str | None = options.get("ssl_keyfile")
        self.load()

    def load(self) -> None:
        """Make a renewed certificate count from the next connection on; raises OSError."""
        # With a CA of our own the public ones are not trusted; without, they are.
        context = ssl.create_default_context(cafile=self._ca)
        if self._certificate is not None:
            context.load_cert_chain(self._certificate, self._key)
        self.context = context


class _TlsConnection(SSLConnection):
    """Takes the shared context instead of one of its own, which would read all files again."""

    def __init__(self, *, trust: Trust, **options: Any) -> None:
        super().__init__(**options)
        self._trust = trust

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {"host": self.host, "port": self.port, "ssl": self._trust.context}


class Pool:
    """At most ``size`` connections, the one used last first; callers wait for a free one."""

    def __init__(
        self, make: Callable[[], AbstractConnection], size: int, trust: Trust | None
    ) -> None:
        self._make = make
        self._trust = trust
        self._slots = asyncio.Semaphore(size)
        self._idle: list[AbstractConnection] = []
        self._closed = False
        self.losses = 0

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send all, read all. Sets no time limit: cancelling it closes the connection.

        Raises the errors of redis-py, and the first error answer after all answers were read.
        """
        async with self._slots:
            connection = await self._take()
            try:
                if not connection.is_connected:
                    await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's gap
                packed = connection.pack_commands(commands)
                await connection.send_packed_command(packed, check_health=False)
                replies = [await _reply(connection) for _ in commands]
            except BaseException:
                # An answer that was not read would be taken for that of the next command.
                self.losses += 1
                await connection.disconnect(nowait=True)
                raise
            await self._give_back(connection)
        for reply in replies:
            if isinstance(reply, refusals.ResponseError):
                raise reply
        return replies

    async def drop(self) -> None:
        """Close the idle connections; those in use notice for themselves."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.disconnect(nowait=True)

    async def close(self) -> None:
        """Close the idle connections now, and those in use when they are given back."""
        self._closed = True
        await self.drop()

    async def reload(self) -> None:
        """Read the certificates again, off the event loop; raises OSError."""
        if self._trust is not None:
            await asyncio.to_thread(self._trust.load)

    async def _take(self) -> AbstractConnection:
        if not self._idle:
            return self._make()
        connection = self._idle.pop()
        # Nothing was asked, so what can be read can only be the end of the stream.
        if await connection.can_read():
            self.losses += 1
            await connection.disconnect(nowait=True)
            return self._make()
        return connection

    async def _give_back(self, connection: AbstractConnection) -> None:
        if self._closed:
            await connection.disconnect(nowait=True)
        else:
            self._idle.append(connection)


async def make_pool(url: str, size: int, connect_within: float) -> Pool:
    """A pool for a redis, rediss or unix URL; raises ValueError or OSError for a wrong one."""
    options: dict[str, Any] = {**parse_url(url)}
    kind: type[AbstractConnection] = options.pop("connection_class", Connection)
    trust = None
    if kind is SSLConnection:
        trust = await asyncio.to_thread(Trust, options)
        # What the URL may say against verification is overruled.
        options = {name: value for name, value in options.items() if not name.startswith("ssl_")}
        options["trust"] = trust
        kind = _TlsConnection
    options |= {
        # The whole exchange has one time limit, set by its caller: limits for each read add up.
        "socket_timeout": None,
        "socket_connect_timeout": connect_within,
        # Never twice: an INCR that is sent again counts twice, and the breaker is to know at once.
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": False,
        # RESP 3 and the driver's name would cost each new connection a round trip.
        "protocol": 2,
        "driver_info": None,
    }
    try:
        kind(**options)
    except TypeError:
        # redis-py takes any parameter of the URL for one of its own.
        raise ValueError("a parameter of the URL is not known") from None
    return Pool(lambda: kind(**options), size, trust)


async def _reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except refusals.ResponseError as error:
        return error
