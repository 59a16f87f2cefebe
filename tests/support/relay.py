"""A way to a server of 127.0.0.1 that can end TLS, go silent, and tell what passed through it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from types import TracebackType
from typing import Self


class Relay:
    """Listens while the block runs. ``silent`` swallows what comes, in both directions."""

    def __init__(self, target: int, tls: ssl.SSLContext | None = None) -> None:
        self._target = target
        self._tls = tls
        self._links: set[asyncio.Task[None]] = set()
        self.port = 0
        self.silent = False
        self.connections = 0
        self.requests: list[bytes] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    def instead_of(self, url: str) -> str:
        """The same URL with our port."""
        return url.replace(f":{self._target}/", f":{self.port}/")

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        link = asyncio.create_task(self._serve(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with contextlib.AsyncExitStack() as ends:
            ends.push_async_callback(_end, writer)
            try:
                upstream, onward = await asyncio.open_connection("127.0.0.1", self._target)
            except ConnectionError:
                return  # as if we were the server that is not there
            ends.push_async_callback(_end, onward)
            pumps = [
                asyncio.create_task(self._pump(reader, onward, self.requests)),
                asyncio.create_task(self._pump(upstream, writer, [])),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, seen: list[bytes]
    ) -> None:
        while chunk := await source.read(65536):
            seen.append(chunk)
            if not self.silent:
                sink.write(chunk)
                await sink.drain()


async def _end(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
