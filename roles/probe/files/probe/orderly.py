"""How an HTTP/2 server takes leave (RFC 9113, 6.8): it ends what it has begun, and takes no more.

The library gives up every request of a connection on which GOAWAY came, those that are being
answered too; a server that only counts its connection's requests would look broken. So the frame is
read here and kept from it.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from typing import Any, Final

from httpcore2 import AsyncNetworkStream, ConnectionNotAvailable

_HEAD: Final = 9
_GOAWAY: Final = 7


class OrderlyStream(AsyncNetworkStream):
    """A connection that reads GOAWAY itself; ``current`` is the number of the request's stream."""

    def __init__(self, stream: AsyncNetworkStream) -> None:
        self._stream = stream
        self._pending = bytearray()
        self.current = 0
        self.leaving = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Whole frames, without the GOAWAY of an orderly leave.

        Raises ConnectionNotAvailable where the server says that it has not begun with the request.
        """
        while True:
            data = await self._stream.read(max_bytes, timeout)
            if not data:
                return data
            self._pending += data
            if frames := self._take():
                return frames

    def _take(self) -> bytes:
        frames = bytearray()
        while len(self._pending) >= _HEAD:
            end = _HEAD + int.from_bytes(self._pending[:3])
            if len(self._pending) < end:
                break
            frame = bytes(self._pending[:end])
            del self._pending[:end]
            if not self._is_leave(frame):
                frames += frame
        return bytes(frames)

    def _is_leave(self, frame: bytes) -> bool:
        if frame[3] != _GOAWAY or len(frame) < _HEAD + 8:
            return False
        last = int.from_bytes(frame[9:13]) & 0x7FFFFFFF
        if int.from_bytes(frame[13:17]) != 0:
            return False  # an error, which is the library's to tell
        self.leaving = True
        if last < self.current:
            raise ConnectionNotAvailable
        return True

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """As it is."""
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """As it is."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> AsyncNetworkStream:
        """There is TLS already."""
        raise NotImplementedError

    def get_extra_info(self, info: str) -> Any:
        """As it is."""
        return self._stream.get_extra_info(info)


def small_window(size: int) -> Iterable[tuple[int, int, int]]:
    """Socket options of a client that reads slowly: only about ``size`` bytes wait for it."""
    return [(socket.SOL_SOCKET, socket.SO_RCVBUF, size)]
