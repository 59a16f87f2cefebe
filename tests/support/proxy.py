"""A TCP relay that a test can make slow or deadly, to be put in front of a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum, auto


class Verdict(Enum):
    """What becomes of a message, and of the connection that it came over."""

    PASS = auto()
    SWALLOW = auto()  # the server never sees it, and the connection stays
    CUT_BEFORE = auto()  # the server never sees it
    CUT_AFTER = auto()  # the server does its work, and its answer is lost


class Proxy:
    """Relays to one port of 127.0.0.1; ``judge`` sees each message of a client."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.judge: Callable[[bytes], Verdict] = lambda _: Verdict.PASS
        self.gate = asyncio.Event()  # a new connection reaches the server only while it is open
        self.gate.set()
        self.keep_open = False  # a client is not told when the server has ended its connection
        self.clients: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def cut(self, number: int) -> None:
        """End the connection that was the n-th to be made, counted from 0."""
        self.clients[number].close()
        await self.clients[number].wait_closed()

    async def stop(self) -> None:
        """End every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection of a client."""
        self.clients.append(writer)
        task = asyncio.get_running_loop().create_task(self._relay(reader, writer))
        self._tasks.add(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        ways: list[asyncio.Task[None]] = []
        try:
            await self.gate.wait()
            answers, server = await asyncio.open_connection("127.0.0.1", self.target)
            ends.append(server)
            muted = asyncio.Event()
            ways += [
                asyncio.create_task(self._up(reader, server, muted)),
                asyncio.create_task(_down(answers, writer, muted)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if self.keep_open:
                await asyncio.wait(ways)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in ends:
                end.transport.abort()

    async def _up(
        self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, muted: asyncio.Event
    ) -> None:
        while message := await reader.read(65_536):
            verdict = self.judge(message)
            if verdict is Verdict.CUT_BEFORE:
                return
            if verdict is Verdict.SWALLOW:
                continue
            if verdict is Verdict.CUT_AFTER:
                muted.set()
            server.write(message)
            await server.drain()


async def _down(
    answers: asyncio.StreamReader, client: asyncio.StreamWriter, muted: asyncio.Event
) -> None:
    while (message := await answers.read(65_536)) and not muted.is_set():
        client.write(message)
        await client.drain()


@asynccontextmanager
async def proxy_to(target: int) -> AsyncIterator[Proxy]:
    """A relay on a free port for as long as the block runs."""
    proxy = Proxy(target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.stop()
