"""A collector for tests: takes traces by OTLP over HTTP on loopback and decodes them."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest, ResponseStartLine
from tornado.netutil import bind_sockets

from gtsd.telemetry import collector
from gtsd.telemetry.collector import Tracing
from tests.support.environments import development


@dataclass(frozen=True)
class Received:
    """One span, with what matters as plain types."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    failed: bool
    status_message: str
    events: int
    resource: dict[str, Any]


class Receiver:
    """Runs on a thread with a loop of its own, as a collector would elsewhere."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.paths: list[str] = []
        self.headers: list[HTTPHeaders] = []
        self.bodies: list[bytes] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def endpoint(self) -> str:
        """The base URL, as OTEL_EXPORTER_OTLP_ENDPOINT gives it."""
        return f"http://127.0.0.1:{self._port}"

    def wait(self, count: int, bound_s: float = 10) -> list[Received]:
        """At least so many spans; fails after the bound."""
        ends = time.monotonic() + bound_s
        while len(self.spans) < count:
            assert time.monotonic() < ends, f"{len(self.spans)} of {count} spans"
            time.sleep(0.01)
        return self.spans

    def named(self, name: str) -> Received:
        """The only span of this name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        sockets = bind_sockets(0, "127.0.0.1")
        self._port = sockets[0].getsockname()[1]
        server = HTTPServer(self._take)
        server.add_sockets(sockets)
        self._ready.set()
        await self._stop.wait()
        server.stop()
        await server.close_all_connections()

    def _take(self, request: HTTPServerRequest) -> None:
        self.paths.append(request.path)
        self.headers.append(request.headers)
        self.bodies.append(request.body)
        self.spans += decoded(request.body)
        connection = request.connection
        assert connection is not None
        connection.write_headers(
            ResponseStartLine("HTTP/1.1", 200, "OK"), HTTPHeaders({"Content-Length": "0"}), b""
        )
        connection.finish()


def trace_to(endpoint: str, **variables: str) -> Tracing:
    """Start tracing to a collector."""
    return collector.configure(development(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **variables))


def decoded(body: bytes) -> list[Received]:
    """The spans of what an exporter sent; raises DecodeError for what is no such message."""
    message = ExportTraceServiceRequest.FromString(body)
    found = []
    for resource_spans in message.resource_spans:
        resource = _plain(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            found += [_received(span, resource) for span in scope_spans.spans]
    return found


def _plain(attributes: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in attributes}


def _received(span: Any, resource: dict[str, Any]) -> Received:
    return Received(
        name=span.name,
        kind=span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=_plain(span.attributes),
        failed=span.status.code == 2,
        status_message=span.status.message,
        events=len(span.events),
        resource=resource,
    )
