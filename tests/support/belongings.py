"""What a person can have that others could be after: one maker a kind, all of them by the API.

A new kind of thing needs one function, and its names in ``MAKERS``; a test asks for them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tests.support.client import PASSWORD, Client, Response

# In every text that the owner writes, so that it is found wherever it comes out.
CANARY = "canary-7f3a"

Reference = int | str
Maker = Callable[[Client], Awaitable[Reference]]


def _made(answer: Response) -> Any:
    assert answer.status in (200, 201), answer.body
    return answer.data


async def task(owner: Client) -> Reference:
    """A task with a proof, still to do."""
    text = f"{CANARY} task"
    made = _made(await owner.post("/v1/tasks", {"title": text, "description": text}))
    proof = {"taskId": made["id"], "type": "text_log", "data": {"text": text}, "notes": text}
    _made(await owner.post("/v1/evidence", proof))
    _made(await owner.post(f"/v1/tasks/{made['id']}/uncomplete"))
    return int(made["id"])


async def session(owner: Client) -> Reference:
    """A second place where the owner is signed in."""
    headers = {"User-Agent": f"{CANARY} phone"}
    login = {"email": owner.user["email"], "password": PASSWORD}
    _made(await owner.post("/auth/login", login, headers=headers))
    sessions = _made(await owner.get("/auth/sessions"))["sessions"]
    return int(next(each["id"] for each in sessions if not each["current"]))


# By the template as far as the id goes, or by the field of a body or query that names the thing.
MAKERS: Mapping[str, Maker] = {
    "/v1/tasks/{id}": task,
    "/auth/sessions/{id}": session,
    "taskId": task,
}
