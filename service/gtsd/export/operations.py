"""The use case of the export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gtsd.errors import Unauthenticated
from gtsd.export import queries as q

if TYPE_CHECKING:
    from gtsd.stores.postgres import Session


async def export(session: Session, user_id: int) -> bytes:
    """All that is kept of a person, by table; raises Unauthenticated for one who has gone."""
    text: str | None = await session.value(q.EXPORT, user_id=user_id)
    if text is None:
        raise Unauthenticated
    return text.encode()
