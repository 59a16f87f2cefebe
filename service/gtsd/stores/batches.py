"""Deleting much, a little at a time."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gtsd.stores.postgres import Query, Session

SIZE: Final = 1000


async def in_batches(session: Session, query: Query, seconds: float, **params: Any) -> int:
    """Run a statement again and again until it finds less than a batch, or time is up.

    It has the parameter ``limit`` and answers with how many rows it took; the sum is returned.
    Each takes effect by itself, so that no lock is held for long and nothing done is lost.
    """
    ends = monotonic() + seconds
    total = 0
    while monotonic() < ends:
        count: int = await session.value(query, limit=SIZE, **params)
        total += count
        if count < SIZE:
            break
    return total
