"""One JSON line an event, in the shape of the deployment guide."""

from __future__ import annotations

from typing import Any

import msgspec


class RequestRecord(msgspec.Struct, kw_only=True):
    """What the one line of a request says. ``url`` is the path alone, without a query string."""

    id: str
    method: str
    url: str
    route: str
    status: int
    duration_s: float
    user_id: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    query: tuple[str, ...] = ()  # names of the parameters, never their values
    error: BaseException | None = None
    level: str | None = None  # a loguru level; None chooses by status and route


def configure(settings: Any) -> Any:
    """Send loguru and stdlib logging to stdout; the result has ``close()``."""


def request(record: RequestRecord) -> None:
    """Write the one line of an answered request."""
