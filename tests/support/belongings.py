"""What a person can have that others could be after: one maker a kind, all of them by the API.

A new kind of thing needs one function, and its names in ``MAKERS``; a test asks for them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tornado.httpclient import AsyncHTTPClient

from gtsd.app import document_text
from tests.support.client import PASSWORD, Client, Response

# In every text that the owner writes, so that it is found wherever it comes out.
CANARY = "canary-7f3a"

# Nothing but a start, one grey point, and an end.
JPEG = base64.b64decode(
    "/9j/2wBDAAMCAgICAgMCAgIDAwMDBAYEBAQEBAgGBgUGCQgKCgkICQkKDA8MCgsOCwkJDRENDg8QEBEQCgwSExIQEw8Q"
    "EBD/yQALCAABAAEBAREA/8wABgAQEAX/2gAIAQEAAD8A0s8g/9k="
)

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


async def upload(owner: Client) -> Reference:
    """A photo that is in the bucket and not confirmed yet, by its key."""
    body = {"fileName": f"{CANARY}.jpg", "contentType": "image/jpeg", "fileSize": len(JPEG)}
    allowed = _made(await owner.post("/v1/progress/photo/presign", body))
    http, url = AsyncHTTPClient(force_instance=True), allowed["uploadUrl"]
    try:
        stored = await http.fetch(url, method="PUT", headers=allowed["headers"], body=JPEG)
    finally:
        http.close()
    assert stored.code == 200
    return str(allowed["fileKey"])


async def photo(owner: Client) -> Reference:
    """A photo of a task."""
    body = {"fileKey": await upload(owner), "taskId": await task(owner)}
    return int(_made(await owner.post("/v1/progress/photo/confirm", body))["photoId"])


async def settle(owner: Client) -> None:
    """What a person does first, so that most requests have something to work on."""
    shown = json.loads(document_text())["paths"]
    for path in ("/v1/onboarding", "/v1/plans/generate"):
        example = shown[path]["post"]["requestBody"]["content"]["application/json"]["example"]
        words = {"allergies": [CANARY]} if path == "/v1/onboarding" else {}
        _made(await owner.post(path, {**example, **words}))


# By the template as far as the id goes, or by the field of a body or query that names the thing.
MAKERS: Mapping[str, Maker] = {
    "/v1/tasks/{id}": task,
    "/auth/sessions/{id}": session,
    "/v1/progress/photos/{id}": photo,
    "/v1/progress/photo/{id}": photo,
    "taskId": task,
    "fileKey": upload,
}
