"""Photos: presigned, uploaded, confirmed, shown, deleted."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.api.conftest import Running
from tests.api.photos.conftest import (
    CONFIRM,
    PHOTOS,
    PRESIGN,
    confirm,
    download,
    kept,
    objects,
    presign,
    put,
    uploaded,
)
from tests.api.tasks.test_tasks import add
from tests.support.client import Client
from tests.support.photos import PLACE, TYPES, photo, pixels, tags


@pytest.mark.parametrize("content_type", TYPES)
async def test_a_photo_comes_back_without_where_it_was_taken(
    service: Running, ada: Client, content_type: str
) -> None:
    """From presign to download: the same pixels, no place, and the upload is gone."""
    said = await kept(ada, content_type)
    status, headers, content = await download(said["downloadUrl"])
    assert status == 200
    assert pixels(content) == pixels(photo(content_type))
    assert PLACE not in content
    assert 0x8825 not in tags(content)
    assert headers["content-type"] == content_type
    (left,) = await objects(service, ada)
    assert left.startswith("photos/")


async def test_a_download_is_signed_for_its_type_its_name_and_five_minutes(ada: Client) -> None:
    """And never to be kept, nor shown in place of a page; the store says so in its answer."""
    url = (await kept(ada))["downloadUrl"]
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert query["X-Amz-Expires"] == "300"
    assert query["response-content-type"] == "image/jpeg"
    assert query["response-cache-control"] == "private, no-store"
    assert query["response-content-disposition"].startswith('attachment; filename="photo-')
    assert (await download(url.replace("image%2Fjpeg", "text%2Fhtml")))[0] == 403
    assert (await download(url.partition("?")[0]))[0] >= 400


async def test_a_confirmed_photo_is_shown_as_it_was_described(ada: Client) -> None:
    """Alone and in the list, with a link of its own."""
    task = await add(ada, "Front", type="progress_photo")
    said = await kept(
        ada, taskId=task["id"], evidenceType="before", takenAt="2026-11-18T09:30:00+01:00"
    )
    shown = (await ada.get(f"{PHOTOS}/{said['photoId']}")).data
    link = shown.pop("downloadUrl")
    assert (await download(link))[0] == 200
    assert shown == {
        "id": said["photoId"],
        "taskId": task["id"],
        "evidenceType": "before",
        "fileName": "front.jpg",
        "contentType": "image/jpeg",
        "fileSize": len((await download(link))[2]),
        "takenAt": "2026-11-18T08:30:00.000Z",
        "createdAt": "2026-11-18T12:00:00.000Z",
    }
    (listed,) = (await ada.get(f"{PHOTOS}?taskId={task['id']}")).data["photos"]
    assert {**listed, "downloadUrl": ""} == {**shown, "downloadUrl": ""}


async def test_photos_come_in_pages_the_newest_first(ada: Client) -> None:
    """Of all tasks or of one; what was not confirmed is not among them."""
    task = await add(ada)
    ids = [(await kept(ada, **({"taskId": task["id"]} if n else {})))["photoId"] for n in range(3)]
    await uploaded(ada)
    page = (await ada.get(f"{PHOTOS}?limit=2")).data
    assert [one["id"] for one in page["photos"]] == [ids[2], ids[1]]
    assert page["pagination"] == {"limit": 2, "offset": 0, "total": 3, "hasMore": True}
    of_task = (await ada.get(f"{PHOTOS}?taskId={task['id']}&offset=1")).data
    assert [one["id"] for one in of_task["photos"]] == [ids[1]]
    assert of_task["pagination"]["total"] == 2
    for query in ("limit=0", "taskId=x", "task=1"):
        assert (await ada.get(f"{PHOTOS}?{query}")).status == 400, query


async def test_confirming_again_is_200_and_changes_nothing(service: Running, ada: Client) -> None:
    """The same photo, with a link that is good again."""
    key = await uploaded(ada)
    first = await confirm(ada, key, evidenceType="before")
    again = await confirm(ada, key, evidenceType="after")
    assert (first.status, again.status) == (201, 200)
    assert again.data["photoId"] == first.data["photoId"]
    assert (await download(again.data["downloadUrl"]))[0] == 200
    shown = (await ada.get(f"{PHOTOS}/{first.data['photoId']}")).data
    assert shown["evidenceType"] == "before"
    assert len(await objects(service, ada)) == 1


async def test_of_parallel_confirmations_one_makes_the_photo(service: Running, ada: Client) -> None:
    """The others say 200, and leave no copies behind."""
    key = await uploaded(ada)
    answers = await asyncio.gather(*(confirm(ada, key) for _ in range(6)))
    statuses = sorted(answer.status for answer in answers)
    # Who comes so late that the upload has been deleted finds it confirmed as well.
    assert statuses == [200] * 5 + [201]
    assert len({answer.data["photoId"] for answer in answers}) == 1
    assert len(await objects(service, ada)) == 1


async def test_a_confirmation_can_be_sent_again_with_its_key(ada: Client) -> None:
    """The first answer is replayed, 201 and all."""
    key = await uploaded(ada)
    headers = {"Idempotency-Key": f"photo-{key}"}
    body = {"fileKey": key}
    first = await ada.post(CONFIRM, body, headers=headers)
    again = await ada.post(CONFIRM, body, headers=headers)
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    assert again.headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"fileName": ""}, "fileName"),
        ({"fileName": "x" * 256}, "fileName"),
        ({"fileName": "../../etc/passwd"}, "fileName"),
        ({"fileName": "a\r\nSet-Cookie: b"}, "fileName"),
        ({"contentType": "image/svg+xml"}, "contentType"),
        ({"contentType": "text/html"}, "contentType"),
        ({"fileSize": 0}, "fileSize"),
        ({"fileSize": 10_485_761}, "fileSize"),
        ({"fileSize": "1"}, "fileSize"),
        ({"bucket": "other"}, "bucket"),
    ],
)
async def test_a_bad_upload_is_not_allowed(
    ada: Client, changes: dict[str, Any], field: str
) -> None:
    """Fault 6: any size and type. Each field is named."""
    body = {"fileName": "a.jpg", "contentType": "image/jpeg", "fileSize": 10_485_760}
    assert (await ada.post(PRESIGN, body)).status == 200
    answer = await ada.post(PRESIGN, {**body, **changes})
    assert (answer.status, list(answer.error["fields"])) == (400, [field])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"fileKey": "photos/1/0123456789abcdef0123456789abcdef.jpg"}, "fileKey"),
        ({"fileKey": "uploads/1/../2/0123456789abcdef0123456789abcdef.jpg"}, "fileKey"),
        ({"fileKey": "javascript:alert(1)"}, "fileKey"),
        ({"taskId": 0}, "taskId"),
        ({"evidenceType": "never"}, "evidenceType"),
        ({"takenAt": "2026-11-18T09:30:00"}, "takenAt"),
        ({"takenAt": "yesterday"}, "takenAt"),
        ({"takenAt": "9999-12-31T23:59:59-23:59"}, "takenAt"),
        ({"downloadUrl": "https://x.example"}, "downloadUrl"),
    ],
)
async def test_a_bad_confirmation_is_refused(
    ada: Client, changes: dict[str, Any], field: str
) -> None:
    """By name, before anything is looked for."""
    key = f"uploads/{ada.user['id']}/0123456789abcdef0123456789abcdef.jpg"
    answer = await ada.post(CONFIRM, {"fileKey": key, **changes})
    assert (answer.status, list(answer.error["fields"])) == (400, [field])
    assert (await ada.post(CONFIRM, {"fileKey": key})).status == 404


async def test_nobody_reaches_anothers_photos(service: Running, ada: Client) -> None:
    """404 for uploads, photos and tasks of others; a token is wanted everywhere."""
    bob = await service.person()
    key, photo_id = await uploaded(ada), (await kept(ada))["photoId"]
    assert (await confirm(bob, key)).status == 404
    assert (await bob.get(f"{PHOTOS}/{photo_id}")).status == 404
    assert (await bob.delete(f"{PHOTOS}/{photo_id}")).status == 404
    assert (await bob.get(PHOTOS)).data["photos"] == []
    theirs = await add(bob)
    before = await objects(service, ada)
    assert (await confirm(ada, key, taskId=theirs["id"])).status == 404
    assert await objects(service, ada) == before
    assert (await confirm(ada, key)).status == 201
    for method, path in (
        ("POST", PRESIGN),
        ("POST", CONFIRM),
        ("GET", PHOTOS),
        ("GET", f"{PHOTOS}/{photo_id}"),
        ("DELETE", f"{PHOTOS}/{photo_id}"),
        ("DELETE", f"/v1/progress/photo/{photo_id}"),
    ):
        answer = await service.client.call(method, path, {} if method == "POST" else None)
        assert answer.status == 401, path


@pytest.mark.parametrize("path", [PHOTOS, "/v1/progress/photo"])
async def test_a_deleted_photo_is_gone_at_once(service: Running, ada: Client, path: str) -> None:
    """The row, the object, and with it every link to it that is still good."""
    said = await kept(ada)
    assert (await ada.delete(f"{path}/{said['photoId']}")).status == 200
    assert (await download(said["downloadUrl"]))[0] == 404
    assert await objects(service, ada) == []
    for again in (await ada.delete(f"{path}/{said['photoId']}"), await ada.get(f"{PHOTOS}/1")):
        assert again.status == 404


async def test_a_photo_outlives_its_task(ada: Client) -> None:
    """A plan that is made anew takes no photos with it."""
    task = await add(ada)
    photo_id = (await kept(ada, taskId=task["id"]))["photoId"]
    await ada.delete(f"/v1/tasks/{task['id']}")
    assert (await ada.get(f"{PHOTOS}/{photo_id}")).data["taskId"] is None


async def test_photos_earn_badges(ada: Client) -> None:
    """In the transaction of the confirmation."""
    await kept(ada)
    (badge,) = (await ada.get("/v1/badges/me")).data["badges"]
    assert badge["code"] == "first_photo"


async def test_uploads_that_are_never_confirmed_are_bounded(
    ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or one person could fill the bucket; who confirms may go on."""
    monkeypatch.setattr("gtsd.photos.operations._MOST_UNCONFIRMED", 3)
    content = photo("image/jpeg")
    allowed = [await presign(ada, content) for _ in range(3)]
    body = {"fileName": "a.jpg", "contentType": "image/jpeg", "fileSize": 1}
    answer = await ada.post(PRESIGN, body)
    assert (answer.status, answer.error["code"]) == (429, "too_many_uploads")
    assert await put(allowed[0], content) == 200
    assert (await confirm(ada, allowed[0]["fileKey"])).status == 201
    assert (await ada.post(PRESIGN, body)).status == 200
