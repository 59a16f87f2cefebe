"""A way to a server of 127.0.0.1 that can end TLS, go silent, and tell what passed through it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

from tests.support.listener import Listener


class Relay(Listener):
    """Listens while the block runs. ``silent`` swallows what comes, in both directions."""

    def __init__(self, target: int, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self._target = target
        self.silent = False
        self.connections = 0
        self.requests: list[bytes] = []

    def instead_of(self, url: str) -> str:
        """The same URL with our port."""
        return url.replace(f":{self._target}/", f":{self.port}/")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
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
