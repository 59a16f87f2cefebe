"""The nightly job of badges: what time, and not a deed, has earned."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Final

from loguru import logger

from gtsd.badges import operations
from gtsd.badges import queries as q

if TYPE_CHECKING:
    from gtsd.deps import Deps

# A statement for so many people takes well under a second, and locks nobody out for longer.
_PEOPLE: Final = 1000


async def award_badges(deps: Deps) -> None:
    """Give every person every badge that they deserve and do not have; run twice, effect once.

    A streak counts up to yesterday's date in UTC: that day is over, or its local date is reached,
    wherever the person is. What is younger was given in its own transaction.
    """
    now = deps.clock.now()
    yesterday = now.astimezone(UTC).date() - timedelta(days=1)
    after, given = 0, 0
    while True:
        rows = await deps.postgres.rows(q.PEOPLE, after=after, limit=_PEOPLE)
        people = {row[0]: yesterday for row in rows}
        given += await operations.award_many(deps.postgres, people, now)
        if len(rows) < _PEOPLE:
            break
        after = rows[-1][0]
    logger.bind(badges=given).info("badges were awarded")
