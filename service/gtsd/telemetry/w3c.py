"""The W3C trace context: ``traceparent`` and ``tracestate``, read and written."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from opentelemetry.trace import SpanContext, TraceFlags, TraceState

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
_MAX_STATE: Final = 512
# Later versions may append fields; version ff and ids of zeros only are invalid.
_PARENT: Final = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z"
)


class Ids(NamedTuple):
    """What ties a log line to its trace, in hex."""

    trace_id: str
    span_id: str


def unrecorded() -> SpanContext:
    """A span of a trace of its own, which nobody records."""
    return SpanContext(random.getrandbits(128), random.getrandbits(64), is_remote=False)


def read(headers: Mapping[str, str]) -> SpanContext | None:
    """The caller's span; None where there is none or the header is not valid."""
    parent = headers.get(TRACEPARENT)
    if parent is None:
        return None
    match = _PARENT.match(parent.strip())
    if match is None or (match[1] == "00" and match[5] is not None):
        return None
    state = headers.get(TRACESTATE, "")
    return SpanContext(
        int(match[2], 16),
        int(match[3], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(match[4], 16)),
        trace_state=TraceState.from_header([state]) if 0 < len(state) <= _MAX_STATE else None,
    )


def write(context: SpanContext) -> dict[str, str]:
    """The headers for a request that is made on behalf of this span."""
    sampled = int(context.trace_flags) & TraceFlags.SAMPLED
    headers = {TRACEPARENT: f"00-{context.trace_id:032x}-{context.span_id:016x}-{sampled:02x}"}
    if context.trace_state:
        headers[TRACESTATE] = context.trace_state.to_header()
    return headers
