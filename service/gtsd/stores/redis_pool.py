"""Connections to Redis: made from a URL, verified, and shared by everybody who asks.

Requests go out as they come, all of one turn of the event loop in one piece, and answers come back
in the same order; nobody waits for another's answer before asking. redis-py logs in, and then its
streams are left: its own way through pools, locks, timers and coroutines took 0.15 ms for a small
command, this takes 0.02 ms. It would also replace a lost connection without telling anybody, and
the cache must be told (``Pool.losses``), because the server behind the next one may have lost its
memory.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import hiredis
from redis import exceptions as failures
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

Command = tuple[str | bytes | int | float, ...]
# Another connection is opened once each of those that there are has so many calls to answer.
_CROWD: Final = 64


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


class _Call:
    __slots__ = ("due", "future", "missing", "replies")

    def __init__(self, future: asyncio.Future[list[Any]], missing: int, due: float) -> None:
        self.future = future
        self.missing = missing
        self.due = due
        self.replies: list[Any] = []


class _Wire(asyncio.Protocol):
    """One connection after its login."""

    def __init__(self, writer: asyncio.StreamWriter, ended: Callable[[_Wire], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._writer = writer  # kept, for it would close the connection when it is collected
        self._transport = transport = writer.transport
        self._ended = ended
        self._reader = hiredis.Reader(replyError=failures.ResponseError)
        self._calls: deque[_Call] = deque()
        self._unsent: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._retired = False
        transport.set_protocol(self)

    @property
    def waiting(self) -> int:
        """How many calls are not answered yet."""
        return len(self._calls)

    def call(self, packed: bytes, replies: int, within: float) -> asyncio.Future[list[Any]]:
        """Send before the event loop turns; whoever no longer waits cancels the future."""
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        due = self._loop.time() + within
        self._calls.append(_Call(future, replies, due))
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(packed)
        # One timer for all calls, where one a call cost 8 µs.
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._look_at_the_clock)
        return future

    def data_received(self, data: bytes) -> None:
        """Hand out the answers, in the order of the calls."""
        reader, calls = self._reader, self._calls
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                call = calls[0]
                call.replies.append(reply)
                call.missing -= 1
                if not call.missing:
                    calls.popleft()
                    if not call.future.done():
                        call.future.set_result(call.replies)
        except (hiredis.ProtocolError, IndexError) as error:
            self.abort(failures.InvalidResponse(f"no answer of Redis: {error}"))
            return
        if self._retired and not calls:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side has closed, or the network has."""
        self._fail(failures.ConnectionError(f"the connection was lost: {exc or 'closed'}"))

    def retire(self) -> None:
        """Close once all calls are answered."""
        self._retired = True
        if not self._calls:
            self._transport.close()

    def abort(self, error: Exception) -> None:
        """Close at once; an answer that is still to come is nobody's."""
        self._transport.abort()
        self._fail(error)

    def _flush(self) -> None:
        data, self._unsent = b"".join(self._unsent), []
        self._transport.write(data)

    def _look_at_the_clock(self) -> None:
        self._timer = None
        if not self._calls:
            return
        # Answers come in order, so that the first one tells of all.
        due = self._calls[0].due
        if due <= self._loop.time():
            self.abort(TimeoutError("no answer in time"))
        else:
            self._timer = self._loop.call_at(due, self._look_at_the_clock)

    def _fail(self, error: Exception) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._ended(self)
        while self._calls:
            future = self._calls.popleft().future
            if not future.done():
                future.set_exception(error)


class Pool:
    """At most ``size`` connections. One is enough but for a crowd."""

    def __init__(
        self, make: Callable[[], AbstractConnection], size: int, trust: Trust | None
    ) -> None:
        self._make = make
        self._size = size
        self._trust = trust
        self._wires: list[_Wire] = []
        # Those that are to end by themselves are no loss.
        self._retired: set[_Wire] = set()
        self._connecting = asyncio.Lock()
        self._closed = False
        self.losses = 0

    def start(self, commands: Sequence[Command], within: float) -> asyncio.Future[list[Any]] | None:
        """Send all; the future has the replies, errors among them. None where nothing is connected.

        An answer that does not come within so many seconds ends the connection, and with it all
        calls. Raises ``DataError`` for an argument that cannot be sent.
        """
        wire = self._least_busy()
        if wire is None or (wire.waiting >= _CROWD and len(self._wires) < self._size):
            return None
        return wire.call(_packed(commands), len(commands), within)

    async def exchange(self, commands: Sequence[Command], within: float) -> list[Any]:
        """Send all, read all, on a new connection where that is needed; see ``start``.

        Raises the errors of redis-py, OSError and TimeoutError.
        """
        packed = _packed(commands)
        async with asyncio.timeout(within):
            wire = await self._open()
        return await wire.call(packed, len(commands), within)

    def drop(self) -> None:
        """Have new calls use new connections; the old ones close once their calls are answered."""
        wires, self._wires = self._wires, []
        self._retired.update(wires)
        for wire in wires:
            wire.retire()

    def close(self) -> None:
        """Close each connection when its calls are answered."""
        self._closed = True
        self.drop()

    async def reload(self) -> None:
        """Read the certificates again, off the event loop; raises OSError."""
        if self._trust is not None:
            await asyncio.to_thread(self._trust.load)

    def _least_busy(self) -> _Wire | None:
        wires = self._wires
        if len(wires) > 1:
            return min(wires, key=lambda wire: wire.waiting)
        return wires[0] if wires else None

    async def _open(self) -> _Wire:
        # One at a time: most likely whoever waits here is served by what is just being opened.
        async with self._connecting:
            wire = self._least_busy()
            if wire is not None and (wire.waiting < _CROWD or len(self._wires) >= self._size):
                return wire
            connection = self._make()
            try:
                await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's gap
            except BaseException:
                self.losses += 1
                await connection.disconnect(nowait=True)
                raise
            wire = _Wire(_taken_over(connection), self._ended)
            if self._closed:
                self._retired.add(wire)
                wire.retire()
                raise failures.ConnectionError("the pool is closed")
            self._wires.append(wire)
            return wire

    def _ended(self, wire: _Wire) -> None:
        if wire in self._wires:
            self._wires.remove(wire)
            self.losses += 1
        elif wire.waiting:
            self.losses += 1
        self._retired.discard(wire)


def _taken_over(connection: AbstractConnection) -> asyncio.StreamWriter:
    """The stream of a connection that has logged in; redis-py forgets it."""
    writer = connection._writer  # noqa: SLF001 - there is no public way
    assert writer is not None
    connection._reader = connection._writer = None  # noqa: SLF001 - nor for this
    return writer


def _packed(commands: Sequence[Command]) -> bytes:
    try:
        return b"".join([hiredis.pack_command(command) for command in commands])  # type: ignore[arg-type]  # its stub wants a tuple of one
    except TypeError as error:
        raise failures.DataError(f"Invalid input: {error}") from None


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
