"""Next week's plans, made on the last day of the week before by whoever runs the jobs."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfoNotFoundError

from loguru import logger

from gtsd.plans import people, weeks
from gtsd.plans import queries as q
from gtsd.plans.people import Here
from gtsd.plans.weeks import Week
from gtsd.streaks import operations as streaks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gtsd.deps import Deps
    from gtsd.stores.postgres import Row

# So many people wait for each other, for as long as their weeks take to be written.
_CHUNK: Final = 200


async def plan_weeks(deps: Deps, *, chunk: int = _CHUNK) -> None:
    """Make the next week for everybody whose plan ends today, where they are, or has ended.

    A day ahead, so that tomorrow's tasks are there at midnight although a worker may be late.
    ``chunk`` people share a transaction, with as many statements as one person takes. Whoever has a
    plan for the next week already is passed over, so that it may be run again after any crash.
    """
    now = deps.clock.now()
    made, last_day, last_user = 0, date.min, 0
    while True:
        rows = await deps.postgres.rows(
            q.ENDING,
            # It may be tomorrow already where somebody is.
            until=now.date() + timedelta(days=1),
            after_day=last_day,
            after_user=last_user,
            limit=chunk,
        )
        if not rows:
            break
        ending = list(_ending(rows, now))
        if ending:
            made += await _plan(deps, ending, now)
        last_day, last_user = rows[-1][:2]
    logger.bind(plans=made).info("next week was planned")


def _ending(rows: list[Row], now: datetime) -> Iterator[Here]:
    """Those whose plan ends today or has ended, where they are."""
    for ends_on, user_id, timezone in rows:
        try:
            here = Here.of(user_id, timezone, now)
        except ZoneInfoNotFoundError:
            # Accepted once, and gone from the table of zones since: the others go on.
            logger.bind(zone=timezone).error("a time zone of somebody is not known any more")
            continue
        if ends_on <= here.today:
            yield here


async def _plan(deps: Deps, ending: list[Here], now: datetime) -> int:
    """One transaction; gives how many plans were made."""
    async with deps.postgres.transaction() as tx:
        there = set(await streaks.lock_all(tx, [here.user_id for here in ending]))
        here = {each.user_id: each for each in ending if each.user_id in there}
        still = await tx.rows(
            q.STILL_ENDING, user_ids=list(here), todays=[each.today for each in here.values()]
        )
        known = await people.find(tx, [user_id for user_id, _ in still])
        due = [
            Week.following(known[user_id], here[user_id], ends_on)
            for user_id, ends_on in still
            if user_id in known
        ]
        if due:
            await weeks.write(tx, due, now)
            tx.after_commit(lambda: deps.cache.forget(*known))
    return len(due)
