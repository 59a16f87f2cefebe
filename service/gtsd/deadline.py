"""How long the work at hand may still take, known to every store without being passed along."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ENDS: ContextVar[float | None] = ContextVar("gtsd_deadline", default=None)


def remaining() -> float | None:
    """Seconds left, which may be negative; None where nobody set a deadline."""
    ends = _ENDS.get()
    return None if ends is None else ends - time.monotonic()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Limit the enclosed work; an outer, nearer deadline stays in force."""
    ends = time.monotonic() + seconds
    outer = _ENDS.get()
    token = _ENDS.set(ends if outer is None else min(ends, outer))
    try:
        yield
    finally:
        _ENDS.reset(token)
