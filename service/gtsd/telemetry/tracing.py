"""Spans and W3C propagation, through OpenTelemetry; nothing at all while it is off.

A span is a child of what encloses it in the same task, and of nothing otherwise: outside a traced
request ``span`` costs a look at a context variable. So it does in a request that is not sampled.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from types import TracebackType
from typing import Final, NamedTuple, Self

from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Tracer,
    set_span_in_context,
)

from gtsd.telemetry import w3c
from gtsd.telemetry.metrics import METHODS
from gtsd.telemetry.redact import mask_path
from gtsd.telemetry.spans import ACTIVE, ERROR, NO_SPAN, Active, Deferred, NoSpan, Recorded, active
from gtsd.telemetry.w3c import Ids

INTERNAL = SpanKind.INTERNAL
CLIENT = SpanKind.CLIENT

Attributes = Mapping[str, str | int | float | bool]


class _Source(NamedTuple):
    tracer: Tracer
    ratio: float

    def records(self, caller: SpanContext | None) -> bool:
        """What the caller says, or else the lot.

        The SDK's samplers would say the same, by way of objects that nobody reads: 4 of 7 µs.
        """
        if caller is not None:
            return caller.trace_flags.sampled
        return random.random() < self.ratio  # noqa: S311 - chance is no secret


# Set in the context that everything else is started from, and so inherited by every task.
_SOURCE: ContextVar[_Source | None] = ContextVar("gtsd_trace_source", default=None)


# One for all requests that the lot leaves out: ids that lead nowhere, with an object for each and a
# place in each line, cost 2 % of the rate.
_LEFT_OUT: Final = Active(None)


def span(
    name: str, kind: SpanKind = INTERNAL, attributes: Attributes | None = None
) -> Recorded | NoSpan:
    """A span around the enclosed work, under the current request's; usable across awaits.

    ``name`` comes from the code, never from a client. An exception that passes is recorded by its
    type alone: its message may hold what must not leave the process.
    """
    outer = ACTIVE.get()
    if outer is None or outer.tracer is None:
        return NO_SPAN
    return Recorded(outer.tracer, outer.parent, name, kind, attributes)


def deferred_span(name: str) -> Deferred | NoSpan:
    """As ``span``, for work of which there is nothing to tell unless something in it is recorded,
    or it fails: a handler whose answer is at hand already would double the cost of a trace.
    """
    outer = ACTIVE.get()
    if outer is None or outer.tracer is None:
        return NO_SPAN
    return Deferred(outer, outer.tracer, name)


class _Left(NoSpan):
    """A root that is not recorded: what is enclosed belongs to the caller's trace, or to none."""

    __slots__ = ("_outer",)

    def __init__(self, active: Active | None) -> None:
        self._outer = ACTIVE.get()
        ACTIVE.set(active)

    def __exit__(self, *_: object) -> None:
        ACTIVE.set(self._outer)


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
        return self._span is not None and not self._ended

    def end(self, route: str, status: int, error: BaseException | None = None) -> Ids | None:
        """Name it after the route's template and close it; the ids for the log line."""
        self._ended = True
        ended = self._span
        if ended is None:
            return self.ids
        # Log lines that follow still belong to this trace, spans that follow do not.
        ACTIVE.set(Active(ended.get_span_context()))
        told: dict[str, str | int] = {}
        if route:
            ended.update_name(f"{self._method} {route}")
            told["http.route"] = route
        if status:
            told["http.response.status_code"] = status
        if status >= 500:
            ended.set_status(ERROR)
            told["error.type"] = type(error).__qualname__ if error is not None else str(status)
        ended.set_attributes(told)
        ended.end()
        return self.ids


_NO_SERVER_SPAN: Final = ServerSpan(None, None, "")


def use(tracer: Tracer | None, ratio: float = 0.0) -> None:
    """Record with it what is begun in this context and those that come of it; None: nothing.

    ``ratio`` is the share of the requests and jobs that nobody else has begun to trace.
    """
    _SOURCE.set(None if tracer is None else _Source(tracer, ratio))


def server_span(headers: Mapping[str, str], method: str, path: str = "") -> ServerSpan:
    """Begin the span of a request, under the caller's where ``traceparent`` names one.

    While tracing is off the caller's ids are all the same kept for the log. ``path`` is without
    its query.
    """
    source = _SOURCE.get()
    caller = w3c.read(headers)
    if source is None or not source.records(caller):
        ACTIVE.set(_left(source, caller))
        return _NO_SERVER_SPAN if caller is None else ServerSpan(None, _ids(caller), method)
    verb = method if method in METHODS else "HTTP"
    attributes = {"http.request.method": method if method in METHODS else "_OTHER"}
    if path:
        attributes["url.path"] = mask_path(path)
    begun = source.tracer.start_span(verb, _parent(caller), SpanKind.SERVER, attributes)
    ACTIVE.set(active(begun, source.tracer))
    return ServerSpan(begun, _ids(begun.get_span_context()), verb)


def root_span(
    name: str, attributes: Attributes | None = None, headers: Mapping[str, str] | None = None
) -> Recorded | NoSpan:
    """The first span of work here that is no request: a run of a job.

    ``headers`` are what ``inject`` added where the work was asked for; it is of that trace then.
    """
    source = _SOURCE.get()
    caller = w3c.read(headers or {})
    if source is None or not source.records(caller):
        return _Left(_left(source, caller))
    return Recorded(source.tracer, _parent(caller), name, INTERNAL, attributes)


def current_ids() -> Ids | None:
    """Those of the span at hand, or of the request whose span ended in this task.

    None where nobody could look them up: nothing is recorded, and no caller has named a trace.
    """
    active = ACTIVE.get()
    return None if active is None or active.context is None else _ids(active.context)


def inject(headers: MutableMapping[str, str]) -> None:
    """Add ``traceparent`` and ``tracestate`` to a request that we are about to send.

    Where the lot has left out what is at hand, they say so: whoever gets them need not draw again.
    """
    active = ACTIVE.get()
    if active is not None:
        headers.update(w3c.write(active.context or w3c.unrecorded()))


def _ids(context: SpanContext) -> Ids:
    return Ids(f"{context.trace_id:032x}", f"{context.span_id:016x}")


def _parent(caller: SpanContext | None) -> Context:
    return set_span_in_context(NonRecordingSpan(caller), Context()) if caller else Context()


def _left(source: _Source | None, caller: SpanContext | None) -> Active | None:
    if caller is not None:
        return Active(caller)
    return None if source is None else _LEFT_OUT
