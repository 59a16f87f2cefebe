"""What comes in and is no HTTP: Tornado refuses it, and we word the refusal."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, StreamClosedError

from gtsd.errors import BadRequest
from gtsd.telemetry import log
from gtsd.telemetry.metrics import OTHER, UNMATCHED
from gtsd.web import headers
from gtsd.web.answers import refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from gtsd.web.server import Api

# What Tornado writes before it closes such a connection: a status and nothing else.
_BARE: Final = b"HTTP/1.1 400 Bad Request\r\n\r\n"
# What it writes of its own besides that one, and is no answer yet.
_GO_ON: Final = b"HTTP/1.1 100 "
# Headers beyond the limit are read as far as this, for the client to get an answer: Tornado would
# close the connection without a word.
_SLACK_BYTES: Final = 48 * 1024
_UNKNOWN: Final = "-"


class Server(HTTPServer):
    """Tornado's server for an ``Api``, which is also its callback for requests."""

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        """Tornado's hook for each new connection."""
        api = cast("Api", self.request_callback)
        idle = api.deps.settings.keepalive_timeout
        worded = _Worded(stream, partial(_refuse, api), idle)
        super().handle_stream(cast("IOStream", worded), address)


class _Worded:
    """A connection that passes everything on but that one answer."""

    def __init__(
        self, stream: IOStream, refuse: Callable[[BadRequest], bytes], idle: float
    ) -> None:
        self._stream = stream
        self._refuse = refuse
        self._idle = idle
        self._answered = False
        self._standing = b""
        self._loop = asyncio.get_running_loop()
        # Once: an answer goes out in one piece, and two system calls a request are spared.
        stream.set_nodelay(True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def set_nodelay(self, value: bool) -> None:
        """Nothing: see above."""

    def stand(self, lines: bytes) -> None:
        """Put these header lines into the next answer: Tornado would take 1 µs for each."""
        self._standing = lines

    def write(self, data: bytes) -> Any:
        """As the stream's own."""
        if data == _BARE:
            if self._answered:
                # Refused by its headers already: a second answer would be taken for the next one's.
                return asyncio.sleep(0)
            data = self._refuse(
                BadRequest("This is no HTTP/1.1 request.", code="malformed_request")
            )
        elif not data.startswith(_GO_ON):
            self._answered = True
            if self._standing:
                first, _, rest = data.partition(b"\r\n")
                data = b"%b\r\n%b%b" % (first, self._standing, rest)
                self._standing = b""
        return self._stream.write(data)

    async def read_until_regex(self, regex: bytes, max_bytes: int) -> bytes:
        """The head of a request, of which Tornado asks for at most ``max_bytes``."""
        self._answered = False
        # Tornado's own limit makes three objects more for it: 12 µs a request.
        late = self._loop.call_later(self._idle, self._stream.close)
        try:
            head = await self._stream.read_until_regex(regex, max_bytes + _SLACK_BYTES)
        finally:
            late.cancel()
        if len(head) > max_bytes:
            error = BadRequest(f"The headers may have {max_bytes} bytes.", code="headers_too_large")
            # Tornado has no part in this answer, and hears only that the client has gone.
            with suppress(StreamClosedError):
                await self._stream.write(self._refuse(error))
            self._stream.close()
            raise StreamClosedError
        return head


def _refuse(api: Api, error: BadRequest) -> bytes:
    """The answer in full, counted and logged like any other; of what came nothing is told."""
    request_id = headers.request_id(None)
    answer = refusal(error, request_id)
    own = {
        "X-Request-ID": request_id,
        "Content-Type": answer.content_type,
        "Content-Length": str(len(answer.body)),
        "Connection": "close",
    }
    api.deps.metrics.observe_request(OTHER, UNMATCHED, answer.status, 0.0)
    log.request(
        log.RequestRecord(
            id=request_id,
            method=_UNKNOWN,
            url=_UNKNOWN,
            route=UNMATCHED,
            status=answer.status,
            duration_s=0.0,
            error=error,
        )
    )
    all_lines = api.standing_headers(None).lines + headers.lines(own)
    return b"HTTP/1.1 400 Bad Request\r\n%b\r\n%b" % (all_lines, answer.body)
