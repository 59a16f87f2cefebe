"""Evidence: proof completes a task."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.api.tasks.test_tasks import add
from tests.support.client import Client


def proof(task_id: int, **fields: Any) -> dict[str, Any]:
    """The smallest evidence."""
    return {"taskId": task_id, "type": "text_log", "data": {"text": "done"}, **fields}


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("text_log", {"text": "x" * 2000}),
        ("metrics", {"metrics": {"km": 5.25, "minutes": 31}}),
        ("photo_reference", {"photoUrl": "https://photos.example.com/1.jpg?size=2#top"}),
    ],
)
async def test_evidence_completes_the_task(ada: Client, kind: str, data: dict[str, Any]) -> None:
    """And comes back as it was given, with the task."""
    task = await add(ada)
    answer = await ada.post("/v1/evidence", proof(task["id"], type=kind, data=data, notes="ok"))
    assert answer.status == 201
    assert answer.data["task"]["status"] == "completed"
    assert answer.data["task"]["evidence"] == [answer.data["evidence"]]
    evidence = answer.data["evidence"]
    assert (evidence["type"], evidence["data"], evidence["notes"]) == (kind, data, "ok")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"data": {"text": "x" * 2001}}, "data.text"),
        ({"data": {"text": ""}}, "data.text"),
        ({"data": {}}, "data.text"),
        ({"data": {"text": "a", "metrics": {"km": 1}}}, "data.metrics"),
        ({"data": {"text": "a", "html": "b"}}, "data.html"),
        ({"type": "metrics", "data": {"metrics": {}}}, "data.metrics"),
        ({"type": "metrics", "data": {"metrics": {"km": "far"}}}, "data.metrics[...]"),
        ({"type": "photo_reference", "data": {"photoUrl": "javascript:alert(1)"}}, "data.photoUrl"),
        ({"type": "photo_reference", "data": {"photoUrl": "ftp://x.example"}}, "data.photoUrl"),
        ({"type": "photo_reference", "data": {"photoUrl": "data:text/html,x"}}, "data.photoUrl"),
        ({"type": "photo_reference", "data": {"photoUrl": "https://"}}, "data.photoUrl"),
        ({"type": "photo_reference", "data": {"photoUrl": "//x.example"}}, "data.photoUrl"),
        ({"type": "photo_reference", "data": {"photoUrl": "https://a@b.c/"}}, "data.photoUrl"),
        ({"notes": "x" * 2001}, "notes"),
        ({"taskId": 0}, "taskId"),
        ({"taskId": 2**63}, "taskId"),
        ({"taskId": "1"}, "taskId"),
    ],
)
async def test_a_bad_proof_is_refused(ada: Client, changes: dict[str, Any], field: str) -> None:
    """By name; the task stays as it was (fault 6: URLs of any kind)."""
    task = await add(ada)
    answer = await ada.post("/v1/evidence", {**proof(task["id"]), **changes})
    assert (answer.status, answer.error["code"]) == (400, "invalid_fields")
    assert list(answer.error["fields"]) == [field]
    assert (await ada.get(f"/v1/tasks/{task['id']}")).data["status"] == "pending"


async def test_numbers_that_json_does_not_have_are_refused(ada: Client) -> None:
    """NaN, Infinity and what overflows."""
    task = await add(ada)
    for number in ("NaN", "Infinity", "1e999"):
        raw = b'{"taskId":%d,"type":"metrics","data":{"metrics":{"km":%b}}}' % (
            task["id"],
            number.encode(),
        )
        assert (await ada.post("/v1/evidence", raw=raw)).status == 400, number


async def test_a_missing_task_has_no_evidence(ada: Client) -> None:
    """404, and nothing is kept."""
    assert (await ada.post("/v1/evidence", proof(999_999_999))).status == 404


async def test_evidence_comes_in_pages(ada: Client) -> None:
    """The first one first."""
    task = await add(ada)
    for number in range(3):
        await ada.post("/v1/evidence", proof(task["id"], data={"text": str(number)}))
    page = (await ada.get(f"/v1/tasks/{task['id']}/evidence?limit=2&offset=1")).data
    assert [e["data"]["text"] for e in page["evidence"]] == ["1", "2"]
    assert page["pagination"] == {"limit": 2, "offset": 1, "total": 3, "hasMore": False}


async def test_a_task_shows_its_last_evidence_and_no_more_than_twenty(ada: Client) -> None:
    """Or a page of tasks could grow without bound; the pages of evidence have all of it."""
    task = await add(ada)
    for number in range(22):
        await ada.post("/v1/evidence", proof(task["id"], data={"text": str(number)}))
    shown = (await ada.get(f"/v1/tasks/{task['id']}")).data["evidence"]
    assert [e["data"]["text"] for e in shown] == [str(number) for number in range(2, 22)]
    pages = (await ada.get(f"/v1/tasks/{task['id']}/evidence?limit=100")).data
    assert pages["pagination"]["total"] == 22


async def test_parallel_evidence_raises_the_streak_by_one(ada: Client) -> None:
    """Fault 10: three at once raised it by three. Exactly one of them says that it did."""
    tasks = [await add(ada, f"task {number}") for number in range(3)]
    for task in tasks[1:]:
        await ada.delete(f"/v1/tasks/{task['id']}")
    bodies = [proof(tasks[0]["id"], data={"text": str(n)}) for n in range(5)]
    answers = await asyncio.gather(*(ada.post("/v1/evidence", body) for body in bodies))
    assert {answer.status for answer in answers} == {201}
    assert [answer.data["streakUpdated"] for answer in answers].count(True) == 1
    assert {answer.data["newStreak"] for answer in answers} == {1}


async def test_parallel_evidence_for_several_tasks_of_a_day_raises_it_by_one(ada: Client) -> None:
    """The last one makes the day."""
    tasks = [await add(ada, f"task {number}") for number in range(5)]
    answers = await asyncio.gather(*(ada.post("/v1/evidence", proof(task["id"])) for task in tasks))
    assert {answer.status for answer in answers} == {201}
    assert [answer.data["streakUpdated"] for answer in answers].count(True) == 1
    assert (await ada.get("/v1/streaks/me")).data["current"] == 1
