"""What is at hand in a task: a span that is recorded, one that may yet be, or none.

A new span is a child of what encloses it in the same task. ``tracing`` begins the first one.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from opentelemetry.context import Context
from opentelemetry.trace import (
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    set_span_in_context,
)

from gtsd.errors import ApiError

ERROR: Final = Status(StatusCode.ERROR)


class Active(NamedTuple):
    """Of which span what comes next is a child."""

    context: SpanContext | None  # None where nothing is recorded and nobody has begun
    tracer: Tracer | None = None  # None where children are not recorded
    parent: Context = Context()


ACTIVE: ContextVar[Active | Deferred | None] = ContextVar("gtsd_active_span", default=None)


class NoSpan:
    """What is entered while nothing is recorded."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def set(self, name: str, value: str | float | bool) -> None:
        """Nothing to do."""


NO_SPAN: Final = NoSpan()


class Recorded:
    """A span of our own work or of a call to a server."""

    __slots__ = ("_outer", "_span")

    def __init__(
        self, tracer: Tracer, parent: Context, name: str, kind: SpanKind, attributes: Any
    ) -> None:
        self._outer = ACTIVE.get()
        self._span = tracer.start_span(name, parent, kind, attributes)
        ACTIVE.set(active(self._span, tracer))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        _leave(self._span, error, self._outer)

    def set(self, name: str, value: str | float | bool) -> None:
        """Add an attribute, such as a number of rows."""
        self._span.set_attribute(name, value)


class Deferred:
    """A span that is made as soon as something in it needs one; it stands for ``Active``."""

    __slots__ = ("_begun", "_name", "_outer", "_span", "_started", "tracer")

    def __init__(self, outer: Active | Deferred, tracer: Tracer, name: str) -> None:
        self.tracer = tracer
        self._outer = outer
        self._name = name
        self._started = time.time_ns()
        self._span: Span | None = None
        self._begun: Active | Deferred | None = None
        ACTIVE.set(self)

    @property
    def context(self) -> SpanContext | None:
        """Whose ids a line of the log gets."""
        return self._begin().context

    @property
    def parent(self) -> Context:
        """What children are made with."""
        return self._begin().parent

    def _begin(self) -> Active | Deferred:
        if self._begun is None:
            self._span = self.tracer.start_span(
                self._name, self._outer.parent, SpanKind.INTERNAL, start_time=self._started
            )
            self._begun = active(self._span, self.tracer)
        return self._begun

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is not None:
            self._begin()
        if self._span is None:
            # What a task that outlives it records is of the enclosing span.
            self._begun = self._outer
        _leave(self._span, error, self._outer)


def active(begun: Span, tracer: Tracer) -> Active:
    """What is at hand within this span."""
    return Active(begun.get_span_context(), tracer, set_span_in_context(begun, Context()))


def _fail(failed: Span, error: BaseException) -> None:
    """Tell the type of the error, and whether it is a fault of ours."""
    failed.set_attribute("error.type", type(error).__qualname__)
    # A refusal is an answer like others, as it is for the server span.
    if not isinstance(error, ApiError) or error.status >= 500:
        failed.set_status(ERROR)


def _leave(left: Span | None, error: BaseException | None, outer: Active | Deferred | None) -> None:
    # Not by token: an async generator may be closed in another context than it was begun in.
    ACTIVE.set(outer)
    if left is None:
        return
    if error is not None:
        _fail(left, error)
    left.end()
