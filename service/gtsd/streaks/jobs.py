"""Midnight, wherever somebody lives."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfoNotFoundError

from loguru import logger

from gtsd.streaks import operations
from gtsd.streaks import queries as q

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gtsd.clock import Clock
    from gtsd.deps import Deps

# So many people wait for each other's days to be counted, which takes some tens of milliseconds.
_BATCH: Final = 500


async def close_days(deps: Deps) -> None:
    """Count every day that has ended where its person lives, and mark it as closed.

    What is closed is a date, and dates are closed in order: so each date of a person's calendar is
    closed once, whatever clocks are put forward or back, wherever the person moves, and however
    late or often this runs.
    """
    closed = 0
    while True:
        # Again for each batch, as time goes on.
        zones = [row[0] for row in await deps.postgres.rows(q.ZONES)]
        people = await operations.ended(deps.postgres, _yesterdays(deps.clock, zones), _BATCH)
        if not people:
            break
        async with deps.postgres.transaction() as tx:
            for user_id in await operations.close(tx, people, deps.clock.now()):
                tx.after_commit(partial(deps.cache.forget, user_id))
        closed += len(people)
    if closed:
        logger.bind(people=closed).info("days were closed")


def _yesterdays(clock: Clock, zones: Iterable[str]) -> dict[str, date]:
    days = {}
    for zone in zones:
        try:
            days[zone] = clock.today(zone) - timedelta(days=1)
        except ZoneInfoNotFoundError:
            # Accepted once, and gone from the tables of zones since: the others go on.
            logger.bind(zone=zone).error("a time zone of somebody is not known any more")
    return days
