"""Tasks: adding, changing, finishing, skipping, deleting."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gtsd.stores.postgres import Query
from tests.api.conftest import Running
from tests.support.client import Client

TODAY = "2026-11-18"  # a Wednesday
MISSING = "/v1/tasks/999999999"


async def add(client: Client, title: str = "Read", **fields: Any) -> dict[str, Any]:
    """A new task."""
    answer = await client.post("/v1/tasks", {"title": title, **fields})
    assert answer.status == 201, answer.body
    task: dict[str, Any] = answer.data
    return task


async def test_a_task_is_due_today_unless_told_otherwise(ada: Client) -> None:
    """With the defaults of the contract."""
    task = await add(ada)
    assert (task["dueDate"], task["type"], task["status"], task["priority"]) == (
        TODAY,
        "custom",
        "pending",
        "medium",
    )
    assert (await ada.get(f"/v1/tasks/{task['id']}")).data == task


async def test_all_fields_come_back_as_they_were_given(ada: Client) -> None:
    """Text of every script included."""
    fields = {
        "type": "workout",
        "description": "Līdz\u200b 5 км 🏃\n'; DROP TABLE tasks; -- %s %(x)s",
        "dueDate": "2026-12-24",
        "dueTime": "06:15",
        "priority": "high",
        "metadata": {"nested": {"a": [1, 2.5, None, True]}, "ключ": "значение"},
    }
    task = await add(ada, "Run 5 km", **fields)
    assert {name: task[name] for name in fields} == fields


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"title": ""}, "title"),
        ({"title": " \n "}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"description": "x" * 2001}, "description"),
        ({"dueDate": "2026-02-30"}, "dueDate"),
        ({"dueDate": "18.11.2026"}, "dueDate"),
        ({"dueDate": "1999-12-31"}, "dueDate"),
        ({"dueDate": "9999-12-31"}, "dueDate"),
        ({"dueTime": "24:00"}, "dueTime"),
        ({"dueTime": "6:15"}, "dueTime"),
        ({"priority": "urgent"}, "priority"),
        ({"type": "sleep"}, "type"),
        ({"repeat": "hourly"}, "repeat"),
        ({"repeat": "daily", "dueDate": "2026-11-17"}, "dueDate"),
        ({"status": "completed"}, "status"),
        ({"metadata": []}, "metadata"),
    ],
)
async def test_a_bad_field_is_named(ada: Client, fields: dict[str, Any], named: str) -> None:
    """And nothing is added."""
    answer = await ada.post("/v1/tasks", {"title": "Read", **fields})
    assert (answer.status, answer.error["code"]) == (400, "invalid_fields")
    assert list(answer.error["fields"]) == [named]
    assert (await ada.get("/v1/tasks")).data["pagination"]["total"] == 0


async def test_a_task_is_changed_field_by_field(ada: Client) -> None:
    """Those left out stay; null takes away what may be missing."""
    task = await add(ada, description="old", dueTime="06:15")
    path = f"/v1/tasks/{task['id']}"
    changed = (await ada.patch(path, {"title": "Write", "status": "in_progress"})).data
    assert (changed["title"], changed["status"], changed["description"]) == (
        "Write",
        "in_progress",
        "old",
    )
    emptied = (await ada.patch(path, {"description": None, "dueTime": None})).data
    assert (emptied["description"], emptied["dueTime"], emptied["title"]) == (None, None, "Write")
    moved = (await ada.patch(path, {"dueDate": "2026-11-20", "metadata": {"a": 1}})).data
    assert (moved["dueDate"], moved["metadata"]) == ("2026-11-20", {"a": 1})


async def test_completing_twice_changes_nothing(ada: Client) -> None:
    """And it can be taken back."""
    task = await add(ada)
    path = f"/v1/tasks/{task['id']}"
    first = await ada.post(f"{path}/complete")
    assert (first.status, first.data["status"]) == (200, "completed")
    assert first.data["completedAt"] == "2026-11-18T12:00:00.000Z"
    assert (await ada.post(f"{path}/complete")).data == first.data
    back = (await ada.post(f"{path}/uncomplete")).data
    assert (back["status"], back["completedAt"]) == ("pending", None)
    assert (await ada.post(f"{path}/uncomplete")).data == back


async def test_a_task_is_skipped_with_a_reason(ada: Client) -> None:
    """A completed one cannot be; skipping twice keeps the first reason."""
    task = await add(ada)
    path = f"/v1/tasks/{task['id']}"
    skipped = await ada.post(f"{path}/skip", {"reason": "ill"})
    assert (skipped.data["status"], skipped.data["skipReason"]) == ("skipped", "ill")
    assert (await ada.post(f"{path}/skip", {"reason": "lazy"})).data == skipped.data
    assert (await ada.post(f"{path}/complete")).data["skipReason"] is None
    late = await ada.post(f"{path}/skip")
    assert (late.status, late.error["code"]) == (409, "task_completed")
    too_long = await ada.post(f"{path}/skip", {"reason": "x" * 501})
    assert too_long.status == 400


async def test_a_deleted_task_is_gone(ada: Client) -> None:
    """With its evidence."""
    task = await add(ada)
    path = f"/v1/tasks/{task['id']}"
    assert (await ada.delete(path)).status == 200
    for answer in (await ada.get(path), await ada.delete(path), await ada.get(f"{path}/evidence")):
        assert answer.status == 404


async def test_another_users_task_does_not_exist(service: Running, ada: Client) -> None:
    """Neither to look at nor to change, by any route."""
    task = await add(ada)
    path = f"/v1/tasks/{task['id']}"
    eve = await service.person()
    evidence = {"taskId": task["id"], "type": "text_log", "data": {"text": "mine"}}
    answers = [
        await eve.get(path),
        await eve.patch(path, {"title": "Stolen"}),
        await eve.delete(path),
        await eve.post(f"{path}/complete"),
        await eve.post(f"{path}/uncomplete"),
        await eve.post(f"{path}/skip"),
        await eve.get(f"{path}/evidence"),
        await eve.post("/v1/evidence", evidence),
    ]
    assert {answer.status for answer in answers} == {404}
    assert {answer.error["code"] for answer in answers} == {"not_found"}
    assert (await ada.get(path)).data == task


async def test_tasks_are_found_by_day_type_and_status(ada: Client) -> None:
    """Sorted by day, time and id."""
    await add(ada, "c", dueDate="2026-11-20", type="meal")
    b = await add(ada, "b", dueDate="2026-11-19")
    await add(ada, "a", dueDate="2026-11-18", dueTime="20:00")
    await add(ada, "early", dueDate="2026-11-18", dueTime="06:00")
    await ada.post(f"/v1/tasks/{b['id']}/complete")

    async def titles(query: str) -> list[str]:
        return [task["title"] for task in (await ada.get(f"/v1/tasks{query}")).data["tasks"]]

    assert await titles("") == ["early", "a", "b", "c"]
    assert await titles("?from=2026-11-19") == ["b", "c"]
    assert await titles("?to=2026-11-18") == ["early", "a"]
    assert await titles("?from=2026-11-19&to=2026-11-19") == ["b"]
    assert await titles("?type=meal") == ["c"]
    assert await titles("?status=completed") == ["b"]
    wrong = await ada.get("/v1/tasks?from=2026-11-20&to=2026-11-19")
    assert (wrong.status, list(wrong.error["fields"])) == (400, ["to"])


async def test_pages_have_the_true_total(ada: Client) -> None:
    """Whatever part of the list they show."""
    for number in range(5):
        await add(ada, f"task {number}")
    seen = []
    for offset in (0, 2, 4, 6):
        page = (await ada.get(f"/v1/tasks?limit=2&offset={offset}")).data
        seen += [task["id"] for task in page["tasks"]]
        assert page["pagination"] == {
            "limit": 2,
            "offset": offset,
            "total": 5,
            "hasMore": offset < 3,
        }
    assert len(set(seen)) == 5
    for query in ("limit=0", "limit=101", "limit=x", "offset=-1", "limit=1&limit=2", "page=1"):
        assert (await ada.get(f"/v1/tasks?{query}")).status == 400, query


async def test_a_key_makes_adding_safe_to_repeat(ada: Client) -> None:
    """The first answer is replayed, another body refused, and there is one task."""
    headers = {"Idempotency-Key": "4f2a-1"}
    first = await ada.post("/v1/tasks", {"title": "Once"}, headers=headers)
    again = await ada.post("/v1/tasks", {"title": "Once"}, headers=headers)
    assert (again.status, again.body) == (201, first.body)
    assert (first.headers.get("Idempotency-Replayed"), again.headers["Idempotency-Replayed"]) == (
        None,
        "true",
    )
    other = await ada.post("/v1/tasks", {"title": "Twice"}, headers=headers)
    assert (other.status, other.error["code"]) == (422, "idempotency_key_reused")
    assert (await ada.get("/v1/tasks")).data["pagination"]["total"] == 1


async def test_parallel_requests_with_one_key_have_one_effect(ada: Client) -> None:
    """The others are told that the first one is running, or get its answer."""
    headers = {"Idempotency-Key": "parallel"}
    answers = await asyncio.gather(
        *(ada.post("/v1/tasks", {"title": "Once"}, headers=headers) for _ in range(8))
    )
    assert {answer.status for answer in answers} <= {201, 409}
    assert len({answer.body for answer in answers if answer.status == 201}) == 1
    assert (await ada.get("/v1/tasks")).data["pagination"]["total"] == 1
    without = await asyncio.gather(*(ada.post("/v1/tasks", {"title": "More"}) for _ in range(3)))
    assert len({answer.data["id"] for answer in without}) == 3


async def test_a_key_belongs_to_its_user_and_a_failure_is_not_kept(
    service: Running, ada: Client
) -> None:
    """Two people may use the same one; a refused request may be sent again corrected."""
    headers = {"Idempotency-Key": "shared"}
    eve = await service.person()
    assert (await ada.post("/v1/tasks", {"title": ""}, headers=headers)).status == 400
    mine = await ada.post("/v1/tasks", {"title": "Mine"}, headers=headers)
    hers = await eve.post("/v1/tasks", {"title": "Hers"}, headers=headers)
    assert (mine.data["title"], hers.data["title"]) == ("Mine", "Hers")
    for bad in ("x" * 256, "two words", "clé"):
        answer = await ada.post("/v1/tasks", {"title": "x"}, headers={"Idempotency-Key": bad})
        assert answer.status == 400, bad


async def test_a_replayed_sign_up_gives_the_same_tokens_from_sealed_rows(service: Running) -> None:
    """Nobody who reads the table can read them."""
    body = {"email": "once@example.com", "password": "Correct-horse-7", "name": "Once"}
    headers = {"Idempotency-Key": "sign-up-once"}
    first = await service.client.post("/auth/signup", body, headers=headers)
    again = await service.client.post("/auth/signup", body, headers=headers)
    assert (first.status, again.status) == (201, 201)
    assert first.body == again.body
    sealed = await service.deps.postgres.value(
        Query("test", "SELECT sealed_answer FROM idempotency_keys WHERE key = 'sign-up-once'")
    )
    assert b"once@example.com" not in bytes(sealed)
