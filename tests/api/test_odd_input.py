"""Hostile and clumsy clients: never a 5xx, never another shape, never a wrong streak."""

from __future__ import annotations

import asyncio
import random
from datetime import date, timedelta
from typing import Any

import pytest

from gtsd.clock import FixedClock
from gtsd.stores.postgres import Query
from gtsd.streaks import operations as streaks
from gtsd.tasks import operations as tasks
from gtsd.tasks.types import NewTask
from tests.api.conftest import Running
from tests.api.web.wires import connected
from tests.support.client import PASSWORD, Client, Response

TODAY = date(2026, 11, 18)
_WAITING = Query(
    "waiting",
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND wait_event_type = 'Lock'",
)
_DROP_ACCOUNT = Query("drop_account", "DELETE FROM users WHERE id = %(user_id)s")


async def _add(person: Client, **fields: Any) -> int:
    answer = await person.post("/v1/tasks", {"title": "Read ten pages", **fields})
    assert answer.status == 201, answer.body
    return int(answer.data["id"])


async def _history(person: Client) -> dict[str, dict[str, Any]]:
    days = (await person.get("/v1/streaks/history?limit=100")).data["days"]
    return {day["date"]: day for day in days}


async def _counted_again(person: Client) -> dict[str, dict[str, Any]]:
    """The history after every day of it was counted again, one by one."""
    for day in await _history(person):
        assert (await person.post("/v1/streaks/check-compliance", {"date": day})).status == 200
    return await _history(person)


@pytest.mark.parametrize(
    "body",
    [
        {"title": "x", "dueTime": "0٣:00"},
        {"title": "x", "dueTime": "06:15\n"},
        {"title": "x", "dueDate": "2026-02-29"},
        {"title": "x", "metadata": {"a": "\0"}},
        {"title": "\ud800"},
    ],
)
async def test_a_task_that_the_database_would_not_take_is_a_bad_request(
    ada: Client, body: dict[str, Any]
) -> None:
    """It is refused before the database sees it."""
    assert (await ada.post("/v1/tasks", body)).status == 400


async def test_odd_but_right_values_come_back_as_they_were_sent(ada: Client) -> None:
    """The control: every script, numbers of any size, and the last leap day."""
    metadata = {"": "\u202eabc", "big": 10**40, "tiny": 5e-324, "e\u0301": [None, True, {}]}
    sent = {"title": "🙂" * 200, "dueDate": "2096-02-29", "dueTime": "23:59", "metadata": metadata}
    task = (await ada.post("/v1/tasks", sent)).data
    assert {name: task[name] for name in sent} == sent


async def test_a_phone_number_with_a_newline_is_a_bad_request(service: Running) -> None:
    """Python's pattern took it and the schema did not: that was a 500."""
    body = {"email": "n@example.com", "password": PASSWORD, "name": "N", "phone": "+4930123456\n"}
    answer = await service.client.post("/auth/signup", body)
    assert (answer.status, set(answer.error["fields"])) == (400, {"phone"})


async def test_a_target_is_a_path_after_a_slash_or_after_our_address(service: Running) -> None:
    """The first character was skipped, whatever it was."""
    wire = await connected(service)
    targets = {b"xhealthz": 404, b"*": 404, b"/healthz": 200, b"http://gtsd/healthz?x": 200}
    for target, status in targets.items():
        await wire.send(b"GET " + target + b" HTTP/1.1\r\nHost: gtsd\r\n\r\n")
        assert (await wire.answer()).status == status
    await wire.close()


@pytest.mark.parametrize(("size", "status"), [(15_000, 200), (17_000, 400), (60_000, 400)])
async def test_headers_that_are_too_large_are_refused_in_words(
    service: Running, size: int, status: int
) -> None:
    """Within reason: who sends more than that is cut off, as before."""
    wire = await connected(service)
    await wire.send(b"GET /healthz HTTP/1.1\r\nHost: gtsd\r\nCookie: " + b"x" * size + b"\r\n\r\n")
    answer = await wire.answer()
    assert answer.status == status
    if status == 400:
        assert answer.error["code"] == "headers_too_large"
        assert answer.headers["x-request-id"] == answer.error["requestId"]
        assert await wire.is_closed()
    await wire.close()


async def test_days_are_counted_again_when_a_series_begins_or_ends(ada: Client) -> None:
    """Tasks of many days come and go at once, on days that were counted before."""
    tomorrow = str(TODAY + timedelta(days=1))
    done_early = await _add(ada, dueDate=tomorrow)
    await ada.post(f"/v1/tasks/{done_early}/complete")
    assert (await _history(ada))[tomorrow]["compliant"]
    first = await _add(ada, repeat="daily")
    counted = (await _history(ada))[tomorrow]
    assert (counted["due"], counted["completed"], counted["compliant"]) == (2, 1, False)
    assert (await ada.patch(f"/v1/tasks/{first}", {"repeat": None})).status == 200
    assert (await _history(ada))[tomorrow]["compliant"]
    assert (await ada.patch(f"/v1/tasks/{first}", {"repeat": "daily"})).status == 200
    assert not (await _history(ada))[tomorrow]["compliant"]
    assert (await ada.delete(f"/v1/tasks/{first}?scope=following")).status == 200
    history = await _history(ada)
    assert history[tomorrow]["compliant"]
    assert history == await _counted_again(ada)


async def test_days_are_counted_again_when_a_series_is_carried_on(
    service: Running, clock: FixedClock, ada: Client
) -> None:
    """Whoever comes back after weeks gets new tasks on a day that was done in advance."""
    far = str(TODAY + timedelta(days=40))
    await _add(ada, repeat="daily")
    await ada.post(f"/v1/tasks/{await _add(ada, dueDate=far)}/complete")
    assert (await _history(ada))[far]["due"] == 1
    clock.move(timedelta(days=30))
    login = {"email": ada.user["email"], "password": PASSWORD}
    ada = ada.signed_in((await service.client.post("/auth/login", login)).data)
    history = await _history(ada)
    assert (history[far]["due"], history[far]["compliant"]) == (2, False)
    assert history == await _counted_again(ada)


async def _mixed(person: Client, task: int, chance: random.Random) -> Response:
    """One of all the ways to change a task."""
    near = str(TODAY + timedelta(days=chance.randint(-2, 2)))
    proof = {"taskId": task, "type": "text_log", "data": {"text": "done"}}
    method, path, body = chance.choice(
        [
            ("POST", f"/v1/tasks/{task}/complete", None),
            ("POST", f"/v1/tasks/{task}/uncomplete", None),
            ("POST", f"/v1/tasks/{task}/skip", {"reason": "rain"}),
            ("POST", "/v1/evidence", proof),
            ("PATCH", f"/v1/tasks/{task}", {"dueDate": near}),
            ("PATCH", f"/v1/tasks/{task}", {"repeat": "daily"}),
            ("PATCH", f"/v1/tasks/{task}", {"repeat": None, "dueDate": near}),
            ("DELETE", f"/v1/tasks/{task}?scope=following", None),
            ("POST", "/v1/streaks/check-compliance", {}),
        ]
    )
    return await person.call(method, path, body)


@pytest.mark.parametrize("seed", range(4))
async def test_parallel_changes_of_one_task_leave_a_streak_that_is_right(
    ada: Client, seed: int
) -> None:
    """Twenty at once, none of them fails, and counting everything again changes nothing."""
    chance = random.Random(seed)
    task = await _add(ada)
    await _add(ada)
    answers = await asyncio.gather(*(_mixed(ada, task, chance) for _ in range(20)))
    assert {answer.status for answer in answers} <= {200, 201, 404, 409}
    streak, history = (await ada.get("/v1/streaks/me")).data, await _history(ada)
    assert await _counted_again(ada) == history
    assert (await ada.get("/v1/streaks/me")).data == streak


async def test_requests_that_outlive_their_account_are_unauthenticated(
    service: Running, ada: Client
) -> None:
    """Their token was checked a moment ago; neither a crash nor half an answer comes of it."""
    task = await _add(ada)
    assert (await ada.get("/v1/streaks/me")).status == 200
    # Behind the cache's back, which still knows the account.
    await service.deps.postgres.execute(_DROP_ACCOUNT, user_id=ada.user["id"])
    proof = {"taskId": task, "type": "text_log", "data": {"text": "done"}}
    answers = [
        await ada.post("/v1/tasks", {"title": "x"}),
        await ada.post("/v1/evidence", proof),
        await ada.post(f"/v1/tasks/{task}/complete"),
        await ada.post("/v1/streaks/check-compliance", {}),
        await ada.get("/v1/streaks/me"),
        await ada.get("/auth/me"),
        await ada.patch("/auth/me", {"name": "Ada King"}),
        await ada.delete("/auth/me", {"password": PASSWORD}),
    ]
    assert [answer.status for answer in answers] == [401] * len(answers)
    # The client holds the answer's shape against the document.
    assert (await ada.get("/v1/tasks/today?limit=1")).data["streak"]["totalDays"] == 0


async def test_an_account_is_deleted_while_its_tasks_are_written(
    service: Running, ada: Client
) -> None:
    """The two wait for each other in one order; in another they would lock each other out."""
    person = tasks.Person(ada.user["id"], TODAY, service.deps.clock.now())
    postgres = service.deps.postgres
    async with postgres.transaction() as tx:
        await streaks.lock(tx, person.id, person.today)
        deletion = asyncio.create_task(ada.delete("/auth/me", {"password": PASSWORD}))
        async with asyncio.timeout(10):
            while not await postgres.value(_WAITING):
                await asyncio.sleep(0.01)
        await tasks.add_id(tx, person, NewTask(title="x"))
    assert (await deletion).status == 202


async def test_one_key_is_one_request_of_one_person(service: Running, ada: Client) -> None:
    """Other people's keys are others; the same person's is used up, whatever became of the task."""
    bob, key = await service.person(), {"Idempotency-Key": "k"}
    first = await ada.post("/v1/tasks", {"title": "x"}, headers=key)
    assert (await bob.post("/v1/tasks", {"title": "x"}, headers=key)).data != first.data
    proof = {"taskId": first.data["id"], "type": "text_log", "data": {"text": "done"}}
    assert (await ada.post("/v1/evidence", proof, headers=key)).status == 422
    assert (await ada.delete(f"/v1/tasks/{first.data['id']}")).status == 200
    replayed = await ada.post("/v1/tasks", {"title": "x"}, headers=key)
    assert (replayed.status, replayed.body) == (201, first.body)
    assert replayed.headers["Idempotency-Replayed"] == "true"


async def test_a_key_of_a_failed_request_may_be_used_again(ada: Client) -> None:
    """Of parallel ones each fails for itself, or is told that the first one is running."""
    key = {"Idempotency-Key": "k"}
    proof = {"taskId": 2**63 - 1, "type": "text_log", "data": {"text": "done"}}
    calls = (ada.post("/v1/evidence", proof, headers=key) for _ in range(10))
    assert {answer.status for answer in await asyncio.gather(*calls)} <= {404, 409}
    proof["taskId"] = await _add(ada)
    assert (await ada.post("/v1/evidence", proof, headers=key)).status == 201
