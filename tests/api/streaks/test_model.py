"""Streaks against a model that is too simple to be wrong."""

from __future__ import annotations

import json
import random
from datetime import UTC, date, datetime, timedelta

import pytest

from gtsd.streaks import operations as streaks
from gtsd.tasks import operations as tasks
from gtsd.tasks.operations import Person
from gtsd.tasks.types import NewTask
from tests.api.conftest import Running

TODAY = date(2026, 11, 18)


def _model(days: dict[date, list[bool]]) -> tuple[int, int, int]:
    """Current, longest and total, by walking over every day."""
    good = {
        day for day, done in days.items() if done and sum(done) >= 0.8 * len(done) and day <= TODAY
    }
    longest, run = 0, 0
    for age in range(60, -1, -1):
        run = run + 1 if TODAY - timedelta(days=age) in good else 0
        longest = max(longest, run)
    current, day = 0, TODAY if TODAY in good else TODAY - timedelta(days=1)
    while day in good:
        current, day = current + 1, day - timedelta(days=1)
    return current, longest, len(good)


@pytest.mark.parametrize("seed", range(4))
async def test_any_order_of_changes_gives_the_streak_of_the_days_as_they_are(
    service: Running, seed: int
) -> None:
    """Random tasks are added, completed and taken back on random days, tomorrow among them."""
    chance = random.Random(seed)
    ada = await service.person()
    person = Person(ada.user["id"], TODAY, datetime(2026, 11, 18, 12, tzinfo=UTC))
    known: dict[int, tuple[date, bool]] = {}
    for _ in range(40):
        async with service.deps.postgres.transaction() as tx:
            if not known or chance.random() < 0.4:
                day = TODAY - timedelta(days=chance.randrange(-1, 8))
                task = await tasks.add_id(tx, person, NewTask(title="x", due_date=day))
                known[task] = (day, False)
            else:
                task = chance.choice(list(known))
                day, done = known[task]
                change = tasks.uncomplete if done and chance.random() < 0.4 else tasks.complete
                await change(tx, person, task)
                known[task] = (day, change is tasks.complete)
        days: dict[date, list[bool]] = {}
        for day, done in known.values():
            days.setdefault(day, []).append(done)
        shown = await streaks.mine(service.deps.postgres, person.id, TODAY)
        current, longest, total = _model(days)
        found = json.loads(shown)
        assert (found["current"], found["longest"], found["totalDays"]) == (current, longest, total)
