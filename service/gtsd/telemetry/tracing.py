"""Spans and W3C propagation, through OpenTelemetry; nothing at all while it is off.

A span is a child of what encloses it in the same task, and of nothing otherwise: outside a traced
request ``span`` costs a look at a context variable. So it does in a request that is not sampled.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    set_span_in_context,
)

from gtsd.errors import ApiError
from gtsd.telemetry import w3c
from gtsd.telemetry.metrics import METHODS
from gtsd.telemetry.redact import mask_path
from gtsd.telemetry.w3c import Ids

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from gtsd.settings import Settings

INTERNAL = SpanKind.INTERNAL
CLIENT = SpanKind.CLIENT
STOP_BOUND_S: Final = 2.0
_ERROR: Final = Status(StatusCode.ERROR)

Attributes = Mapping[str, str | int | float | bool]


class _Active(NamedTuple):
    context: SpanContext | Ids
    tracer: Tracer | None = None  # None where children are not recorded
    parent: Context = Context()


class _Source(NamedTuple):
    tracer: Tracer
    ratio: float  # of the requests that nobody else has begun to trace


# Set in the context that everything else is started from, and so inherited by every task.
_SOURCE: ContextVar[_Source | None] = ContextVar("gtsd_trace_source", default=None)
_ACTIVE: ContextVar[_Active | None] = ContextVar("gtsd_active_span", default=None)


class _NoSpan:
    """What is entered while nothing is recorded."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def set(self, name: str, value: str | float | bool) -> None:
        """Nothing to do."""


class _Recorded:
    """A span of our own work or of a call to a server."""

    __slots__ = ("_outer", "_span")

    def __init__(
        self, tracer: Tracer, parent: Context, name: str, kind: SpanKind, attributes: Any
    ) -> None:
        self._outer = _ACTIVE.get()
        self._span = tracer.start_span(name, parent, kind, attributes)
        _ACTIVE.set(_active(self._span, tracer))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        # Not by token: an async generator may be closed in another context than it was begun in.
        _ACTIVE.set(self._outer)
        if error is not None:
            _fail(self._span, error)
        self._span.end()

    def set(self, name: str, value: str | float | bool) -> None:
        """Add an attribute, such as a number of rows."""
        self._span.set_attribute(name, value)


_NO_SPAN: Final = _NoSpan()


def span(
    name: str, kind: SpanKind = INTERNAL, attributes: Attributes | None = None
) -> _Recorded | _NoSpan:
    """A span around the enclosed work, under the current request's; usable across awaits.

    ``name`` comes from the code, never from a client. An exception that passes is recorded by its
    type alone: its message may hold what must not leave the process.
    """
    outer = _ACTIVE.get()
    if outer is None or outer.tracer is None:
        return _NO_SPAN
    return _Recorded(outer.tracer, outer.parent, name, kind, attributes)


class ServerSpan:
    """The span of one request, begun when it is made; its ids outlive its end."""

    __slots__ = ("_ended", "_method", "_span", "ids")

    def __init__(self, span: Span | None, ids: Ids | None, method: str) -> None:
        self.ids = ids
        self._span = span
        self._method = method
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if not self._ended:
            self.end("", 500 if error is not None else 0, error)

    @property
    def recorded(self) -> bool:
        """Whether a collector gets it; before its end."""
        return self._span is not None and self._span.is_recording()

    def end(self, route: str, status: int, error: BaseException | None = None) -> Ids | None:
        """Name it after the route's template and close it; the ids for the log line."""
        self._ended = True
        ended = self._span
        active = _ACTIVE.get()
        if active is not None:
            # Log lines that follow still belong to this trace, spans that follow do not.
            _ACTIVE.set(_Active(active.context))
        if ended is None or not ended.is_recording():
            return self.ids
        if route:
            ended.update_name(f"{self._method} {route}")
            ended.set_attribute("http.route", route)
        if status:
            ended.set_attribute("http.response.status_code", status)
        if status >= 500:
            ended.set_status(_ERROR)
            kind = type(error).__qualname__ if error is not None else str(status)
            ended.set_attribute("error.type", kind)
        ended.end()
        return self.ids


_NO_SERVER_SPAN: Final = ServerSpan(None, None, "")


def server_span(headers: Mapping[str, str], method: str, path: str = "") -> ServerSpan:
    """Begin the span of a request, under the caller's where ``traceparent`` names one.

    While tracing is off the caller's ids are all the same kept for the log. ``path`` is without
    its query.
    """
    source = _SOURCE.get()
    caller = w3c.read(headers)
    if source is None:
        _ACTIVE.set(None if caller is None else _Active(caller))
        return _NO_SERVER_SPAN if caller is None else ServerSpan(None, _ids(caller), method)
    if caller is None and random.random() >= source.ratio:  # noqa: S311 - chance is no secret
        # The SDK would come to the same, by way of objects that nobody reads: 4 of 7 µs a request.
        both = f"{random.getrandbits(192):048x}"
        ids = Ids(both[:32], both[32:])
        _ACTIVE.set(_Active(ids))
        return ServerSpan(None, ids, method)
    tracer = source.tracer
    verb = method if method in METHODS else "HTTP"
    attributes = {"http.request.method": method if method in METHODS else "_OTHER"}
    parent = set_span_in_context(NonRecordingSpan(caller), Context()) if caller else Context()
    begun = tracer.start_span(verb, parent, SpanKind.SERVER, attributes)
    if path and begun.is_recording():
        begun.set_attribute("url.path", mask_path(path))
    _ACTIVE.set(_active(begun, tracer))
    return ServerSpan(begun, _ids(begun.get_span_context()), verb)


def root_span(
    name: str, attributes: Attributes | None = None, headers: Mapping[str, str] | None = None
) -> _Recorded | _NoSpan:
    """The first span of work here that is no request: a run of a job.

    ``headers`` are what ``inject`` added where the work was asked for; it is of that trace then.
    """
    source = _SOURCE.get()
    caller = w3c.read(headers or {})
    if source is None:
        _ACTIVE.set(None if caller is None else _Active(caller))
        return _NO_SPAN
    parent = set_span_in_context(NonRecordingSpan(caller), Context()) if caller else Context()
    return _Recorded(source.tracer, parent, name, INTERNAL, attributes)


def current_ids() -> Ids | None:
    """Those of the span at hand, or of the request whose span ended in this task."""
    active = _ACTIVE.get()
    return None if active is None else _ids(active.context)


def inject(headers: MutableMapping[str, str]) -> None:
    """Add ``traceparent`` and ``tracestate`` to a request that we are about to send."""
    active = _ACTIVE.get()
    if active is not None:
        headers.update(w3c.write(active.context))


def _ids(context: SpanContext | Ids) -> Ids:
    if isinstance(context, Ids):
        return context
    return Ids(f"{context.trace_id:032x}", f"{context.span_id:016x}")


def _active(begun: Span, tracer: Tracer) -> _Active:
    context = begun.get_span_context()
    if not begun.is_recording():
        return _Active(context)
    return _Active(context, tracer, set_span_in_context(begun, Context()))


def _fail(failed: Span, error: BaseException) -> None:
    failed.set_attribute("error.type", type(error).__qualname__)
    # A refusal is an answer like others, as it is for the server span.
    if not isinstance(error, ApiError) or error.status >= 500:
        failed.set_status(_ERROR)


class Tracing:
    """What is to be stopped in the end; holds nothing while tracing is off."""

    def __init__(self, provider: TracerProvider | None) -> None:
        self._provider = provider

    @property
    def on(self) -> bool:
        """Whether spans are made and sent."""
        return self._provider is not None

    def shutdown(self, bound_s: float = STOP_BOUND_S) -> bool:
        """Send what is queued, for at most so long; False when that was given up.

        The provider's own shutdown waits for the exporter's retries: 5 s with a collector that is
        away, 9 s with one that is silent. Its thread is left behind and dies with the process.
        """
        provider, self._provider = self._provider, None
        if provider is None:
            return True
        _SOURCE.set(None)
        stopping = threading.Thread(target=provider.shutdown, name="gtsd-traces-stop", daemon=True)
        stopping.start()
        stopping.join(bound_s)
        return not stopping.is_alive()


def configure(settings: Settings) -> Tracing:
    """Start tracing where a collector is given. Call it before the tasks that are to be traced."""
    if settings.otel_disabled or settings.otel_endpoint is None:
        _SOURCE.set(None)
        return Tracing(None)
    # Only here: a service without a collector need not pay the 0.14 s and 8 MB of the SDK.
    from gtsd.telemetry.export import provider_for

    provider = provider_for(settings, settings.otel_endpoint)
    tracer = provider.get_tracer("gtsd", settings.app_version)
    _SOURCE.set(_Source(tracer, settings.otel_sample_ratio))
    return Tracing(provider)
