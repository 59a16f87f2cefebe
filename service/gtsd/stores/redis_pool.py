"""Connections to Redis: made from a URL, verified, counted, and used for one exchange at a time."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from redis import exceptions as refusals
from redis.asyncio.connection import (
    AbstractConnection,
    BlockingConnectionPool,
    SSLConnection,
    parse_url,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

Command = tuple[str | bytes | int | float, ...]


class Trust:
    """The TLS context that all connections share, read anew from its files on ``load``."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._ca: str | None = options.get("ssl_ca_certs")
        self._certificate: str | None = options.get("ssl_certfile")
        self._key: str | None = options.get("ssl_keyfile")
        self.context = self._read()

    def load(self) -> None:
        """A renewed certificate counts from the next connection on; raises OSError."""
        self.context = self._read()

    def _read(self) -> ssl.SSLContext:
        # With a CA of our own the public ones are not trusted; without, they are.
        context = ssl.create_default_context(cafile=self._ca)
        if self._certificate is not None:
            context.load_cert_chain(self._certificate, self._key)
        return context


class _TlsConnection(SSLConnection):
    """Takes the shared context instead of one of its own, which would read all files again."""

    def __init__(self, *, trust: Trust, **options: Any) -> None:
        super().__init__(**options)
        self._trust = trust

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {"host": self.host, "port": self.port, "ssl": self._trust.context}


class Pool(BlockingConnectionPool):
    """Waits for a free connection when all are in use, and counts those that had to be replaced."""

    def __init__(self, trust: Trust | None, **options: Any) -> None:
        super().__init__(**options)
        self._trust = trust
        self._known: set[int] = set()
        self.reconnects = 0

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send all, read all; the connection is closed when that was not finished.

        Raises the errors of redis-py, and the first error answer after all answers were read.
        """
        # redis-py leaves the two methods untyped that are ignored here.
        connection = await self.get_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.send_packed_command(connection.pack_commands(commands))
            replies = [await _reply(connection) for _ in commands]
        except BaseException:
            # An answer that was not read would be taken for that of the next command.
            await connection.disconnect(nowait=True)
            raise
        finally:
            # Shielded: a second cancellation would leave the connection in use for ever.
            await asyncio.shield(self.release(connection))
        for reply in replies:
            if isinstance(reply, refusals.ResponseError):
                raise reply
        return replies

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        """Hand out a live connection, noticing when it replaces one that was lost."""
        if connection.is_connected and await connection.can_read():
            # Nothing was asked, so what can be read is the end of the stream.
            await connection.disconnect(nowait=True)
        if connection.is_connected:
            return
        if id(connection) in self._known or not self._known:
            self.reconnects += 1
        self._known.add(id(connection))
        await connection.connect()  # type: ignore[no-untyped-call]

    async def drop(self) -> None:
        """Close the idle connections; those in use notice for themselves."""
        await self.disconnect(inuse_connections=False)

    async def reload(self) -> None:
        """Read the certificates again, off the event loop."""
        if self._trust is not None:
            await asyncio.to_thread(self._trust.load)


async def make_pool(url: str, size: int, timeout: float) -> Pool:
    """A pool for a redis, rediss or unix URL; raises ValueError or OSError for a wrong one."""
    options: dict[str, Any] = {**parse_url(url)}
    trust = None
    if options.get("connection_class") is SSLConnection:
        trust = await asyncio.to_thread(Trust, options)
        # What the URL may say against verification is overruled.
        options = {name: value for name, value in options.items() if not name.startswith("ssl_")}
        options |= {"connection_class": _TlsConnection, "trust": trust}
    options |= {
        "max_connections": size,
        "timeout": timeout,
        # The whole exchange has one timeout, in Redis.run: one for each read would add up.
        "socket_timeout": None,
        "socket_connect_timeout": timeout,
        # Never twice: an INCR that was sent again would count twice, and the breaker is to know.
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": False,
        # RESP 3 would cost a round trip more for each connection, and brings nothing here.
        "protocol": 2,
        "driver_info": None,
    }
    return Pool(trust, **options)


async def _reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except refusals.ConnectionError:
        raise
    except refusals.ResponseError as error:
        return error
