"""A connection by hand, for what no HTTP client would send."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from tests.api.conftest import Running


@dataclass
class Raw:
    """An answer as it came over the wire; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> Any:
        """What is in the envelope of an error."""
        answer = json.loads(self.body)
        assert answer["success"] is False
        return answer["error"]


class Wire:
    """One connection; every wait of it is bounded."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """All of it, or as much as the other side takes in five seconds."""
        self._writer.write(data)
        async with asyncio.timeout(5):
            await self._writer.drain()

    async def answer(self, *, to_head: bool = False) -> Raw:
        """The next one."""
        async with asyncio.timeout(5):
            lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
            pairs = [line.partition(": ") for line in lines[1:] if line]
            headers = {name.lower(): value for name, _, value in pairs}
            assert len(headers) == len(pairs), f"a header was sent twice: {lines}"
            length = 0 if to_head else int(headers.get("content-length", 0))
            body = await self._reader.readexactly(length)
        return Raw(int(lines[0].split()[1]), headers, body)

    async def is_closed(self, bound_s: float = 5) -> bool:
        """Whether the server ends the connection in time, having sent nothing more."""
        try:
            async with asyncio.timeout(bound_s):
                return await self._reader.read(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    async def close(self) -> None:
        """Ours; the server may have closed it before."""
        self._writer.transport.abort()


async def connected(service: Running) -> Wire:
    """A new connection to a running instance."""
    port = int(service.base.rpartition(":")[2])
    return Wire(*await asyncio.open_connection("127.0.0.1", port))
