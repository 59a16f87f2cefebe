"""Writes weeks: their plans and their tasks, for one person or for many, one statement a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from gtsd.plans import formulas, schedule
from gtsd.plans import queries as q
from gtsd.plans.people import Here, Person
from gtsd.streaks import operations as streaks
from gtsd.web.answers import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gtsd.stores.postgres import Transaction


@dataclass(frozen=True, slots=True)
class Week:
    """Seven days of somebody. Of the first one only what is due ``after`` a time is asked for."""

    person: Person
    today: date
    starts_on: date
    after: time

    @classmethod
    def from_now(cls, person: Person, here: Here) -> Week:
        """From this moment on: what would have been due before it was asked of nobody."""
        return cls(person, here.today, here.today, here.time)

    @classmethod
    def following(cls, person: Person, here: Here, ends_on: date) -> Week:
        """After a plan that ends; from now on where it has ended already."""
        if ends_on < here.today:
            return cls.from_now(person, here)
        return cls(person, here.today, ends_on + timedelta(days=1), time())


async def write(tx: Transaction, weeks: Sequence[Week], now: datetime) -> None:
    """Make these weeks' plans and tasks in place of what was planned from their first days on.

    Whatever was done, skipped, begun, proven or changed by hand stays, and keeps its place: a day
    never has the same task twice. So do tasks of the first day whose time has come. The streaks of
    all of these people must be locked.
    """
    people = [week.person.user_id for week in weeks]
    starts = [week.starts_on for week in weeks]
    times = [week.after for week in weeks]
    await tx.execute(q.ARCHIVE, user_ids=people, starts=starts)
    await tx.execute(q.CLEAR, user_ids=people, starts=starts, times=times)
    plans, tasks = [], []
    for week in weeks:
        targets = formulas.targets(week.person.body, week.starts_on)
        plans.append(_plan(week, targets))
        tasks += _tasks(week, targets)
    await tx.execute(q.ADD_PLANS, plans=encode(plans).decode(), now=now)
    await tx.execute(q.ADD_TASKS, tasks=encode(tasks).decode(), days=schedule.DAYS, now=now)
    await streaks.count_all_from(tx, people, starts, [week.today for week in weeks])


def _plan(week: Week, targets: formulas.Targets) -> dict[str, Any]:
    body = week.person.body
    return asdict(targets) | {
        "user_id": week.person.user_id,
        "starts_on": week.starts_on,
        "ends_on": week.starts_on + timedelta(days=schedule.DAYS - 1),
        "primary_goal": body.primary_goal,
        "activity_level": body.activity_level,
        "weight": body.weight,
        "meals_per_day": week.person.meals_per_day,
    }


def _tasks(week: Week, targets: formulas.Targets) -> list[dict[str, Any]]:
    person = week.person
    body = person.body
    slots = schedule.slots(body.primary_goal, body.activity_level, person.meals_per_day, targets)
    whose = {"user_id": person.user_id, "starts_on": week.starts_on, "after": week.after}
    return [whose | slot._asdict() for slot in slots]
