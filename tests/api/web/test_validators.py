"""What a client may keep, and how it asks whether that is still so."""

from __future__ import annotations

import pytest

from tests.api.conftest import Running
from tests.support.client import PASSWORD, Client

READ = [
    "/auth/me",
    "/auth/sessions",
    "/v1/tasks",
    "/v1/tasks/today",
    "/v1/tasks/{task}",
    "/v1/tasks/{task}/evidence",
    "/v1/streaks/me",
    "/v1/streaks/history",
]


@pytest.fixture
async def task(ada: Client) -> str:
    """The id of a task of Ada's."""
    return str((await ada.post("/v1/tasks", {"title": "Read"})).data["id"])


@pytest.mark.parametrize("template", READ)
async def test_a_read_route_has_a_strong_tag_and_answers_304_to_it(
    ada: Client, task: str, template: str
) -> None:
    """With the tag again and without a body; nothing personal may be kept by a cache."""
    path = template.format(task=task)
    answer = await ada.get(path)
    tag = answer.headers["ETag"]
    assert tag[0] == tag[-1] == '"'
    assert answer.headers["Cache-Control"] == "no-store"
    for condition in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        same = await ada.get(path, headers={"If-None-Match": condition})
        assert (same.status, same.body) == (304, b""), condition
        assert same.headers["ETag"] == tag
        assert same.headers["Cache-Control"] == "no-store"
        assert "Content-Length" not in same.headers
        assert "Content-Type" not in same.headers
    other = await ada.get(path, headers={"If-None-Match": f'"{tag[2:]}, "x"'})
    assert (other.status, other.body) == (200, answer.body)
    head = await ada.call("HEAD", path, headers={"If-None-Match": tag})
    assert head.status == 304


async def test_a_change_changes_the_tag(ada: Client, task: str) -> None:
    """Of everything that shows it."""
    paths = ["/v1/tasks", "/v1/tasks/today", f"/v1/tasks/{task}"]
    before = [(await ada.get(path)).headers["ETag"] for path in paths]
    await ada.patch(f"/v1/tasks/{task}", {"title": "Read more"})
    for path, tag in zip(paths, before, strict=True):
        assert (await ada.get(path, headers={"If-None-Match": tag})).status == 200, path


async def test_a_tag_does_not_help_without_a_token(ada: Client, service: Running) -> None:
    """304 would tell whoever guesses it that it is right."""
    tag = (await ada.get("/auth/me")).headers["ETag"]
    answer = await service.client.get("/auth/me", headers={"If-None-Match": tag})
    assert answer.status == 401


async def test_tokens_and_writes_are_not_to_be_kept_and_have_no_tag(
    ada: Client, service: Running
) -> None:
    """Sign-in is public, and yet nothing is more personal than its answer."""
    account = {"email": ada.user["email"], "password": PASSWORD}
    for answer in (
        await service.client.post("/auth/login", account),
        await service.client.post("/auth/refresh", {"refreshToken": ada.refresh_token}),
        await ada.post("/v1/tasks", {"title": "Read"}),
        await service.client.get("/health"),
        await service.client.get("/metrics"),
    ):
        assert answer.status < 300
        assert answer.headers["Cache-Control"] == "no-store"
        assert "ETag" not in answer.headers


async def test_documents_may_be_kept_but_are_asked_for_again(service: Running) -> None:
    """They change with each release and with nothing else."""
    for path in ("/openapi.json", "/docs", "/docs/page.js", "/docs/page.css"):
        answer = await service.client.get(path)
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-cache")
        tag = answer.headers["ETag"]
        same = await service.client.get(path, headers={"If-None-Match": tag})
        assert (same.status, same.headers["ETag"]) == (304, tag)
