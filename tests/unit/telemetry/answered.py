"""The record of a request, as the web layer makes it."""

from __future__ import annotations

import msgspec

from gtsd.telemetry.log import RequestRecord

ANSWERED = RequestRecord(
    id="req-123",
    method="GET",
    url="/v1/tasks/today",
    route="/v1/tasks/today",
    status=200,
    duration_s=0.042,
    user_id="7",
    trace_id="0af7651916cd43dd8448eb211c80319c",
    span_id="b7ad6b7169203331",
)


def answered(**changes: object) -> RequestRecord:
    """The same with other fields."""
    return msgspec.structs.replace(ANSWERED, **changes)
