"""What comes in and is no HTTP: Tornado refuses it, and we word the refusal."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream

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
_UNKNOWN: Final = "-"


class Server(HTTPServer):
    """Tornado's server for an ``Api``, which is also its callback for requests."""

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        """Tornado's hook for each new connection."""
        refuse = partial(_refuse, cast("Api", self.request_callback))
        super().handle_stream(cast("IOStream", _Worded(stream, refuse)), address)


class _Worded:
    """A connection that passes everything on but that one answer."""

    def __init__(self, stream: IOStream, refuse: Callable[[], bytes]) -> None:
        self._stream = stream
        self._refuse = refuse

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, data: bytes) -> Any:
        """As the stream's own."""
        return self._stream.write(self._refuse() if data == _BARE else data)


def _refuse(api: Api) -> bytes:
    """The answer in full, counted and logged like any other; of what came nothing is told."""
    error = BadRequest("This is no HTTP/1.1 request.", code="malformed_request")
    request_id = headers.request_id(None)
    answer = refusal(error, request_id)
    out = {
        **dict(api.standing_headers(None)),
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
    lines = "".join(f"{name}: {value}\r\n" for name, value in out.items())
    return f"HTTP/1.1 400 Bad Request\r\n{lines}\r\n".encode() + answer.body
