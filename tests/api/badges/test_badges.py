"""Badges: earned by what is done, once and for ever."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from gtsd.badges import operations, queries
from gtsd.badges.catalogue import CATALOGUE, Metric
from gtsd.badges.jobs import award_badges
from gtsd.badges.operations import Deed
from gtsd.stores.postgres import ConstraintViolated, Query, Transaction
from tests.api.conftest import Running
from tests.api.streaks.test_streaks import TODAY, done
from tests.api.tasks.test_evidence import proof
from tests.api.tasks.test_tasks import add
from tests.support.client import Client


async def mine(client: Client) -> list[str]:
    """The codes of what a person has, in the catalogue's order."""
    have = {badge["code"] for badge in (await client.get("/v1/badges/me")).data["badges"]}
    return [badge.code for badge in CATALOGUE if badge.code in have]


async def progress(client: Client, code: str) -> dict[str, Any]:
    """How far a person is with one badge."""
    badges = (await client.get("/v1/badges/available")).data["badges"]
    found: dict[str, Any] = next(badge for badge in badges if badge["code"] == code)
    return found


async def half_done(client: Client) -> int:
    """Two tasks for today, one of them completed; gives the other one's id."""
    first, left = await add(client, "first"), await add(client, "left")
    await client.post(f"/v1/tasks/{first['id']}/complete")
    return int(left["id"])


async def run(service: Running, sql: str, **values: Any) -> None:
    await service.deps.postgres.execute(Query("test", sql), **values)


async def _award_all(service: Running) -> None:
    await award_badges(service.deps)


async def test_somebody_new_has_none_and_sees_all_sixteen(ada: Client) -> None:
    """Each with what earns it."""
    assert (await ada.get("/v1/badges/me")).data == {"badges": [], "total": 16}
    badges = (await ada.get("/v1/badges/available")).data["badges"]
    assert [badge["code"] for badge in badges] == [badge.code for badge in CATALOGUE]
    assert len({badge["code"] for badge in badges}) == 16
    for badge in badges:
        assert (badge["current"], badge["percentage"], badge["earned"]) == (0, 0, False)
        assert badge["earnedAt"] is None


async def test_a_completed_task_earns_its_badges_at_once(ada: Client) -> None:
    """In its own transaction: the answer is there, so are the badges."""
    task = await add(ada)
    assert await mine(ada) == []
    await ada.post(f"/v1/tasks/{task['id']}/complete")
    assert await mine(ada) == ["first_task", "perfect_day"]
    earned = (await ada.get("/v1/badges/me")).data["badges"][0]
    assert (earned["title"], earned["earnedAt"]) == ("First step", "2026-11-18T12:00:00.000Z")
    assert await progress(ada, "tasks_10") == {
        "code": "tasks_10",
        "title": "Getting going",
        "description": "Complete 10 tasks.",
        "metric": "tasks",
        "target": 10,
        "current": 1,
        "percentage": 10,
        "earned": False,
        "earnedAt": None,
    }


async def test_evidence_earns_badges_also_for_a_task_that_was_completed_before(
    ada: Client,
) -> None:
    """The fiftieth one is counted like the first."""
    task = await add(ada)
    await ada.post(f"/v1/tasks/{task['id']}/complete")
    await ada.post("/v1/evidence", proof(task["id"]))
    assert "first_evidence" in await mine(ada)
    for _ in range(48):
        await ada.post("/v1/evidence", proof(task["id"]))
    assert (await progress(ada, "evidence_50"))["percentage"] == 98
    assert "evidence_50" not in await mine(ada)
    await ada.post("/v1/evidence", proof(task["id"]))
    assert "evidence_50" in await mine(ada)


async def test_a_raised_streak_earns_its_badge(ada: Client) -> None:
    """By a skipped task as well: the day counts by it."""
    for age in (2, 1):
        await done(ada, TODAY - timedelta(days=age))
    assert (await progress(ada, "streak_3"))["current"] == 2
    left = await half_done(ada)
    assert "streak_3" not in await mine(ada)
    await ada.post(f"/v1/tasks/{left}/skip")
    assert "streak_3" in await mine(ada)


@pytest.mark.parametrize("how", ["delete", "move", "check"])
async def test_every_change_that_makes_a_day_count_earns(
    service: Running, ada: Client, how: str
) -> None:
    """Deleting or moving what was left to do, and counting the day again."""
    for age in (2, 1):
        await done(ada, TODAY - timedelta(days=age))
    left = await half_done(ada)
    assert "streak_3" not in await mine(ada)
    if how == "delete":
        await ada.delete(f"/v1/tasks/{left}")
    elif how == "move":
        await ada.patch(f"/v1/tasks/{left}", {"dueDate": "2026-11-19"})
    else:
        await run(
            service,
            "DELETE FROM tasks WHERE user_id = %(user_id)s AND id = %(id)s",
            user_id=ada.user["id"],
            id=left,
        )
        await ada.post("/v1/streaks/check-compliance", {})
    assert "streak_3" in await mine(ada)


async def test_a_badge_stays_when_what_earned_it_is_taken_back(ada: Client) -> None:
    """And is not given a second time, nor at another time."""
    task = await add(ada)
    await ada.post(f"/v1/tasks/{task['id']}/complete")
    before = await progress(ada, "first_task")
    await ada.post(f"/v1/tasks/{task['id']}/uncomplete")
    assert await progress(ada, "first_task") == before
    assert (before["percentage"], before["earned"]) == (100, True)
    await ada.post(f"/v1/tasks/{task['id']}/complete")
    assert await progress(ada, "first_task") == before


async def test_parallel_deeds_earn_a_badge_once(service: Running, ada: Client) -> None:
    """Twenty at once, and the nightly job beside them: no error, one badge."""
    tasks = [await add(ada, f"task {number}") for number in range(20)]
    calls = [ada.post("/v1/evidence", proof(task["id"])) for task in tasks]
    answers, *_ = await asyncio.gather(
        asyncio.gather(*calls), _award_all(service), _award_all(service)
    )
    assert {answer.status for answer in answers} == {201}
    assert await mine(ada) == ["first_task", "tasks_10", "perfect_day", "first_evidence"]


@pytest.mark.parametrize("careful", [True, False])
async def test_the_second_of_two_deeds_finds_the_badge_given(
    service: Running, ada: Client, monkeypatch: pytest.MonkeyPatch, careful: bool
) -> None:
    """It waits for the first one and gives nothing. The control, a plain INSERT, fails."""
    await done(ada, TODAY)
    await run(
        service, "DELETE FROM user_badges WHERE user_id = %(user_id)s", user_id=ada.user["id"]
    )
    if not careful:
        plain = queries.AWARD.sql.partition("ON CONFLICT")[0]
        monkeypatch.setattr(queries, "AWARD", Query("test", plain))

    async def award(tx: Transaction) -> int:
        now = service.deps.clock.now()
        return await operations.award(tx, ada.user["id"], TODAY, now, Deed.COMPLETED)

    async def second() -> int:
        async with service.deps.postgres.transaction() as tx:
            return await award(tx)

    async with service.deps.postgres.transaction() as first:
        assert await award(first) == 2
        waiting = asyncio.create_task(second())
        async with asyncio.timeout(5):
            while not await _somebody_waits(service):
                await asyncio.sleep(0.01)
    if careful:
        assert await waiting == 0
    else:
        with pytest.raises(ConstraintViolated):
            await waiting


async def _somebody_waits(service: Running) -> bool:
    sql = """
        SELECT EXISTS (SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock')
    """
    return bool(await service.deps.postgres.value(Query("test", sql)))


async def test_what_fails_earns_nothing(service: Running, ada: Client) -> None:
    """The badge is in the transaction of the deed."""
    task = await add(ada)
    await run(
        service,
        "ALTER TABLE tasks ADD CONSTRAINT broken CHECK (status <> 'completed') NOT VALID",
    )
    try:
        assert (await ada.post(f"/v1/tasks/{task['id']}/complete")).status == 500
    finally:
        await run(service, "ALTER TABLE tasks DROP CONSTRAINT broken")
    assert await mine(ada) == []


async def test_nobody_gets_what_another_one_earned(service: Running, ada: Client) -> None:
    """Each row is the person's own."""
    bob = await service.person()
    await done(ada, TODAY)
    assert await mine(ada) != []
    assert await mine(bob) == []
    assert (await progress(bob, "first_task"))["current"] == 0


@pytest.mark.parametrize("path", ["/v1/badges/me", "/v1/badges/available"])
async def test_badges_want_a_token_and_know_what_was_not_changed(
    service: Running, ada: Client, path: str
) -> None:
    """401 without one; 304 for the same ETag."""
    assert (await service.client.get(path)).status == 401
    first = await ada.get(path)
    again = await ada.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, first.headers["Cache-Control"]) == (304, "no-store")


async def test_a_deed_costs_one_statement(
    service: Running, ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three are allowed. Evidence has it in its own message, which is all that it sends."""
    task, other = await add(ada), await add(ada)
    before = _statements(service)
    await ada.post(f"/v1/tasks/{other['id']}/complete")
    between = _statements(service)
    await ada.post("/v1/evidence", proof(task["id"]))
    deed = {name for name, n in between.items() if n > before.get(name, 0) and "badge" in name}
    given = {name: n - between.get(name, 0) for name, n in _statements(service).items()}
    assert between["badges_award"] - before.get("badges_award", 0) == 1
    assert deed == {"badges_award"}
    assert {name: n for name, n in given.items() if n} == {"evidence_give": 1, "account": 1}


def _statements(service: Running) -> dict[str, float]:
    """How often each statement was sent."""
    return {
        sample.labels["operation"]: sample.value
        for metric in service.deps.metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "gtsd_db_query_duration_seconds_count"
    }


def test_the_catalogue_is_sound() -> None:
    """Sixteen codes, each metric measured, and for one metric no two badges of one target."""
    assert len({badge.code for badge in CATALOGUE}) == len(CATALOGUE) == 16
    assert {badge.metric for badge in CATALOGUE} == set(Metric)
    assert len({(badge.metric, badge.target) for badge in CATALOGUE}) == 16
    assert all(badge.target > 0 and len(badge.code) <= 40 for badge in CATALOGUE)
