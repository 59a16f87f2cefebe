"""The nightly job of badges: everybody gets what they deserve and do not have."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gtsd.badges.jobs import award_badges
from gtsd.clock import FixedClock
from gtsd.stores.postgres import Query
from gtsd.streaks.jobs import close_days
from tests.api.badges.test_badges import mine, progress, run
from tests.api.conftest import Running
from tests.api.streaks.test_streaks import TODAY, done
from tests.support.client import PASSWORD, Client


async def test_the_nightly_job_gives_what_time_has_earned(
    service: Running, ada: Client, clock: FixedClock
) -> None:
    """Days that were done ahead count once they have passed; run twice, it gives once."""
    for ahead in range(3):
        await done(ada, TODAY + timedelta(days=ahead))
    await award_badges(service.deps)
    assert "streak_3" not in await mine(ada)
    clock.move(timedelta(days=3))
    again = await _sign_in(service, ada)
    assert "streak_3" not in await mine(again)
    await award_badges(service.deps)
    await award_badges(service.deps)
    assert "streak_3" in await mine(again)
    assert (await progress(again, "streak_3"))["earnedAt"] == "2026-11-21T12:00:00.000Z"


async def test_the_end_of_a_day_gives_what_was_done_ahead_for_it(
    service: Running, ada: Client, clock: FixedClock
) -> None:
    """At midnight where the person is, with the job that closes their days."""
    for ahead in range(3):
        await done(ada, TODAY + timedelta(days=ahead))
    clock.move(timedelta(days=2))
    await close_days(service.deps)
    again = await _sign_in(service, ada)
    assert "streak_3" not in await mine(again)
    clock.move(timedelta(hours=12, minutes=1))
    await close_days(service.deps)
    again = await _sign_in(service, ada)
    assert "streak_3" in await mine(again)


async def test_the_nightly_job_goes_through_everybody(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In as many statements as it takes, and leaves out whoever is just being deleted."""
    monkeypatch.setattr("gtsd.badges.jobs._PEOPLE", 2)
    people = [await service.person() for _ in range(5)]
    for person in people:
        await done(person, TODAY - timedelta(days=1))
    ids = [person.user["id"] for person in people]
    await run(service, "DELETE FROM user_badges WHERE user_id = ANY(%(ids)s)", ids=ids)
    async with service.deps.postgres.transaction() as tx:
        lock = Query("test", "SELECT FROM users WHERE id = %(id)s FOR UPDATE")
        await tx.execute(lock, id=ids[2])
        await award_badges(service.deps)
    found = [await mine(person) for person in people]
    assert found == [["first_task", "perfect_day"] if n != 2 else [] for n in range(5)]


async def test_an_onboarded_person_is_given_the_badge(service: Running, ada: Client) -> None:
    """By the job, whatever wrote it."""
    await run(
        service,
        "UPDATE users SET onboarded_at = now() WHERE id = %(user_id)s",
        user_id=ada.user["id"],
    )
    assert (await progress(ada, "onboarded"))["percentage"] == 100
    await award_badges(service.deps)
    assert await mine(ada) == ["onboarded"]


async def _sign_in(service: Running, client: Client) -> Client:
    body = {"email": client.user["email"], "password": PASSWORD}
    return service.client.signed_in((await service.client.post("/auth/login", body)).data)
