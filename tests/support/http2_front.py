"""A public edge in the test's own process: TLS, HTTP/2 and HTTP/1.1, in front of a server."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Self

import h2.config
import h2.connection
import h2.events
from hyperframe.frame import GoAwayFrame
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from tests.support.listener import Listener
from tests.support.tls import Leaf

# Nothing more is answered, as if the process had died.
HANG_UP = -1


class Http2Front(Listener):
    """Listens while the block runs.

    ``leave_after`` requests of a connection it takes leave with GOAWAY and ends what it has begun;
    ``instead`` may give another status than the server's, by the request's number, or HANG_UP.
    """

    def __init__(self, target: int, leaf: Leaf) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(leaf.certificate, leaf.key)
        context.set_alpn_protocols(["h2", "http/1.1"])
        super().__init__(context)
        self._target = target
        self.leave_after = 1_000_000
        self.instead: Callable[[int], int | None] = lambda _: None
        self.requests = self.leaves = 0

    async def __aenter__(self) -> Self:
        self._client = AsyncHTTPClient(force_instance=True, max_clients=100)
        return await super().__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await super().__aexit__(kind, error, trace)
        self._client.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tls = writer.get_extra_info("ssl_object")
        try:
            if tls.selected_alpn_protocol() == "h2":
                await _Http2Link(self, reader, writer).serve()
            else:
                await self._pipe(reader, writer)
        except ConnectionError:
            pass  # the client has gone
        finally:
            writer.transport.abort()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, onward = await asyncio.open_connection("127.0.0.1", self._target)
        pumps = [
            asyncio.create_task(_pump(reader, onward)),
            asyncio.create_task(_pump(upstream, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            onward.transport.abort()

    async def ask(self, head: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """The server's answer to a request of HTTP/2."""
        headers = {name: value for name, value in head.items() if not name.startswith(":")}
        answer = await self._client.fetch(
            HTTPRequest(
                f"http://127.0.0.1:{self._target}{head[':path']}",
                head[":method"],
                headers,
                body or None,
                allow_nonstandard_methods=True,
            ),
            raise_error=False,
        )
        return answer.code, answer.body or b""


class _Http2Link:
    def __init__(
        self, front: Http2Front, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._front, self._reader, self._writer = front, reader, writer
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self._state = h2.connection.H2Connection(config)
        self._heads: dict[int, dict[str, str]] = {}
        self._bodies: dict[int, bytes] = {}
        self._seen = 0

    async def serve(self) -> None:
        """Until either side leaves."""
        self._state.initiate_connection()
        self._flush()
        while data := await self._reader.read(65536):
            for event in self._state.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    self._heads[event.stream_id] = dict(event.headers)  # type: ignore[arg-type]  # decoded, as configured
                    self._bodies[event.stream_id] = b""
                elif isinstance(event, h2.events.DataReceived):
                    self._bodies[event.stream_id] += event.data
                    length = event.flow_controlled_length
                    self._state.acknowledge_received_data(length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded) and await self._answer(
                    event.stream_id
                ):
                    return
            self._flush()

    async def _answer(self, stream: int) -> bool:
        """Whether the connection ends with it."""
        front = self._front
        self._seen += 1
        front.requests += 1
        leaves = self._seen >= front.leave_after
        if leaves:
            front.leaves += 1
            self._flush()
            self._writer.write(GoAwayFrame(last_stream_id=stream, error_code=0).serialize())
            await self._writer.drain()
        status = front.instead(front.requests)
        if status == HANG_UP:
            return True
        body = b'{"success":false}'
        if status is None:
            status, body = await front.ask(self._heads.pop(stream), self._bodies.pop(stream))
        self._state.send_headers(stream, [(":status", str(status))])
        size = self._state.max_outbound_frame_size
        for start in range(0, len(body), size):
            self._state.send_data(stream, body[start : start + size])
        self._state.end_stream(stream)
        self._flush()
        await self._writer.drain()
        return leaves

    def _flush(self) -> None:
        self._writer.write(self._state.data_to_send())


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await source.read(65536):
            sink.write(chunk)
            await sink.drain()
