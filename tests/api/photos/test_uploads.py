"""Fault 6: what may be uploaded is what was agreed, and what is kept of it is a photo."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Running, Start
from tests.api.photos.conftest import PHOTOS, confirm, download, objects, presign, put, s3_settings
from tests.api.tasks.test_evidence import proof
from tests.api.tasks.test_tasks import add
from tests.support.client import Client
from tests.support.photos import MAKER, PLACE, TYPES, bomb, photo, request

PAGE = b"<!DOCTYPE html><script>alert(document.domain)</script>"


async def test_the_store_refuses_another_length_or_type(service: Running, ada: Client) -> None:
    """It checks the signature, of which both are a part; so is the place, and the time."""
    content = photo("image/jpeg")
    allowed = await presign(ada, content)
    assert allowed["headers"] == {
        "Content-Type": "image/jpeg",
        "Content-Length": str(len(content)),
    }
    assert allowed["expiresIn"] == 600
    assert "X-Amz-Expires=600" in allowed["uploadUrl"]
    assert "content-length%3Bcontent-type" in allowed["uploadUrl"]
    assert await put(allowed, content + b"x") == 403
    assert await put(allowed, content[:-1]) == 403
    assert await put(allowed, content, **{"Content-Type": "text/html"}) == 403
    elsewhere = {**allowed, "uploadUrl": allowed["uploadUrl"].replace("uploads/", "photos/")}
    assert await put(elsewhere, content) == 403
    longer = {**allowed, "uploadUrl": allowed["uploadUrl"].replace("=600", "=6000")}
    assert await put(longer, content) == 403
    assert await objects(service, ada) == []
    assert await put(allowed, content) == 200
    assert await objects(service, ada) == [allowed["fileKey"]]


async def test_a_signature_without_the_length_would_let_any_through(
    service: Running, ada: Client
) -> None:
    """The control: the store looks at what is signed, and at nothing else."""
    allowed = await presign(ada, b"x")
    client = service.deps.objects._ready()
    wanted = {"Bucket": service.deps.objects._bucket, "Key": allowed["fileKey"]}
    url = client.generate_presigned_url("put_object", wanted, 60)
    assert await put({**allowed, "uploadUrl": url}, b"x" * 1000) == 200


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (PAGE, "wrong_type"),
        (photo("image/png"), "wrong_type"),
        (b"\xff\xd8\xff" + PAGE, "broken_photo"),
        (photo("image/jpeg")[:300], "broken_photo"),
    ],
    ids=["page", "png", "page in disguise", "cut short"],
)
async def test_what_is_no_photo_of_the_type_is_not_kept(
    service: Running, ada: Client, content: bytes, code: str
) -> None:
    """By what it is, not by what it says; and the right file may be uploaded yet."""
    allowed = await presign(ada, content)
    assert await put(allowed, content) == 200
    answer = await confirm(ada, allowed["fileKey"])
    assert (answer.status, answer.error["code"]) == (400, code)
    assert list(answer.error["fields"]) == ["fileKey"]
    assert (await ada.get(PHOTOS)).data["photos"] == []
    assert await objects(service, ada) == [allowed["fileKey"]]


async def test_a_page_behind_a_photo_does_not_come_out(ada: Client) -> None:
    """A file that is a photo and a page at once leaves as a photo."""
    for content_type in ("image/jpeg", "image/png"):
        content = photo(content_type) + PAGE
        allowed = await presign(ada, content, content_type)
        assert await put(allowed, content) == 200
        said = (await confirm(ada, allowed["fileKey"])).data
        assert b"script" not in (await download(said["downloadUrl"]))[2]


async def test_a_bomb_is_refused(ada: Client) -> None:
    """It is small, and says that it is large."""
    content = bomb(60_000, 60_000)
    allowed = await presign(ada, content, "image/png")
    assert await put(allowed, content) == 200
    answer = await confirm(ada, allowed["fileKey"])
    assert (answer.status, answer.error["code"]) == (400, "broken_photo")


async def test_the_size_is_looked_at_where_the_store_does_not(
    service: Running, ada: Client
) -> None:
    """A store that takes what it likes is not believed: the object itself counts."""
    content = photo("image/jpeg")
    allowed = await presign(ada, content)
    for other in (content + b"x" * 5_000_000, content[:-1]):
        await service.deps.objects.put(allowed["fileKey"], other, "image/jpeg")
        answer = await confirm(ada, allowed["fileKey"])
        assert (answer.status, answer.error["code"]) == (400, "wrong_size")


async def test_what_was_not_uploaded_cannot_be_confirmed(ada: Client) -> None:
    """409: the client has to upload it first."""
    allowed = await presign(ada, b"x" * 100)
    answer = await confirm(ada, allowed["fileKey"])
    assert (answer.status, answer.error["code"]) == (409, "not_uploaded")


@pytest.mark.parametrize("content_type", TYPES)
async def test_no_link_ever_leads_to_an_upload(
    service: Running, ada: Client, content_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place where it was taken never leaves the bucket. With a step left out this is seen."""
    content = photo(content_type)
    allowed = await presign(ada, content, content_type)
    assert await put(allowed, content) == 200
    for url in (allowed["uploadUrl"], allowed["uploadUrl"].partition("?")[0]):
        status, _, body = await download(url)
        assert status >= 400
        assert PLACE not in body
    said = (await confirm(ada, allowed["fileKey"])).data
    assert _leaks((await download(said["downloadUrl"]))[2]) == []
    # The control: a copy that is not stripped.
    monkeypatch.setattr("gtsd.photos.operations.strip", lambda whole, _: whole)
    allowed = await presign(ada, content, content_type)
    await put(allowed, content)
    said = (await confirm(ada, allowed["fileKey"])).data
    assert _leaks((await download(said["downloadUrl"]))[2]) != []


def _leaks(content: bytes) -> list[bytes]:
    return [word for word in (PLACE, MAKER) if word in content]


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " javascript:alert(1)",
        "https:javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:/etc/hosts",
    ],
)
async def test_no_evidence_leads_anywhere_but_to_the_web(ada: Client, url: str) -> None:
    """Fault 6: `javascript:` URLs as evidence."""
    task = await add(ada)
    body: dict[str, Any] = proof(task["id"], type="photo_reference", data={"photoUrl": url})
    answer = await ada.post("/v1/evidence", body)
    assert (answer.status, list(answer.error["fields"])) == (400, ["data.photoUrl"])


async def test_presigning_is_limited(start: Start, object_store: Any) -> None:
    """20 a minute, as the settings say; other routes go on."""
    service = await start(**s3_settings(object_store, limit_heavy=20))
    ada = await service.person()
    for _ in range(20):
        await presign(ada, b"x")
    answer = await ada.post(
        "/v1/progress/photo/presign",
        {"fileName": "a.jpg", "contentType": "image/jpeg", "fileSize": 1},
    )
    assert (answer.status, answer.error["code"]) == (429, "rate_limited")
    assert int(answer.headers["Retry-After"]) > 0
    assert (await ada.get(PHOTOS)).status == 200


def test_a_client_without_a_signature_gets_nothing(object_store: Any) -> None:
    """The bucket is closed: what the tests above see is the signatures' doing."""
    status, _, _ = request("GET", f"{object_store.url}/{object_store.bucket}")
    assert status >= 400
