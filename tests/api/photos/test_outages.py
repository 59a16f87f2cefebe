"""The object store goes away: photos wait for it, nothing else does."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from gtsd.dev.object_store import EmbeddedObjectStore
from gtsd.errors import DependencyUnavailable
from gtsd.photos.jobs import collect_orphans, delete_photos_of_deleted, expire_uploads
from tests.api.conftest import Running, Start
from tests.api.photos.conftest import CONFIRM, PHOTOS, PRESIGN, confirm, kept, s3_settings, uploaded
from tests.api.tasks.test_evidence import proof
from tests.api.tasks.test_tasks import add
from tests.support.client import PASSWORD, Client
from tests.support.relay import Relay

ALLOW = {"fileName": "a.jpg", "contentType": "image/jpeg", "fileSize": 1}


async def _all_photo_routes(client: Client, key: str, photo_id: int) -> list[tuple[int, str]]:
    """Status and code of each."""
    calls: list[tuple[str, str, Any]] = [
        ("POST", PRESIGN, ALLOW),
        ("POST", CONFIRM, {"fileKey": key}),
        ("GET", PHOTOS, None),
        ("GET", f"{PHOTOS}/{photo_id}", None),
        ("DELETE", f"{PHOTOS}/{photo_id}", None),
    ]
    answers = [await client.call(*call) for call in calls]
    return [(answer.status, answer.error["code"]) for answer in answers]


async def _all_else_works(service: Running, ada: Client) -> None:
    task = await add(ada)
    assert (await ada.post("/v1/evidence", proof(task["id"]))).status == 201
    for path in ("/v1/tasks/today", "/v1/streaks/me", "/v1/badges/available", "/auth/me"):
        assert (await ada.get(path)).status == 200, path
    for path in ("/ready", "/health"):
        assert (await service.client.get(path)).status == 200, path


async def test_without_the_store_photos_answer_503_and_all_else_works(
    start: Start, object_store: EmbeddedObjectStore
) -> None:
    """At once; and when it is back they are there again, with nothing lost."""
    async with Relay(object_store.port) as relay:
        service = await start(**s3_settings(object_store))
        ada = await service.person()
        key, confirmed = await uploaded(ada), await uploaded(ada)
        photo_id = (await confirm(ada, confirmed)).data["photoId"]
        gone = await start(
            **s3_settings(object_store, s3_endpoint=f"http://127.0.0.1:{relay.port}")
        )
        there = Client(gone.base, ada.token, user=ada.user)
        assert (await there.get(PHOTOS)).status == 200
    # The relay has ended: nobody listens at its port any more.
    gone.deps.objects._answered = -10.0
    began = time.monotonic()
    found = await _all_photo_routes(there, key, photo_id)
    assert found == [(503, "dependency_unavailable")] * 5
    again = await _all_photo_routes(there, confirmed, photo_id)
    assert again == [(503, "dependency_unavailable")] * 5
    assert time.monotonic() - began < 5
    await _all_else_works(gone, there)
    assert (await ada.get(f"{PHOTOS}/{photo_id}")).status == 200
    assert (await confirm(ada, key)).status == 201


async def test_a_silent_store_keeps_nobody_else_waiting(
    start: Start, object_store: EmbeddedObjectStore
) -> None:
    """However many ask for photos, one thread at a time waits to see whether it is there."""
    async with Relay(object_store.port) as relay:
        changes = {"s3_endpoint": f"http://127.0.0.1:{relay.port}", "s3_concurrency": 2}
        service = await start(**s3_settings(object_store, **changes))
        ada = await service.person()
        relay.silent = True
        began = time.monotonic()
        waiting = asyncio.gather(*(ada.get(PHOTOS) for _ in range(20)))
        await _all_else_works(service, ada)
        assert not waiting.done()
        assert {answer.status for answer in await waiting} == {503}
        assert time.monotonic() - began < 8


async def test_without_s3_settings_photos_answer_503(start: Start) -> None:
    """A service without a bucket is one that works, but for photos."""
    service = await start()
    ada = await service.person()
    key = f"uploads/{ada.user['id']}/{'0' * 32}.jpg"
    assert await _all_photo_routes(ada, key, 1) == [(503, "dependency_unavailable")] * 5
    await _all_else_works(service, ada)


async def test_jobs_fail_while_the_store_is_away_and_do_it_the_next_time(
    start: Start, object_store: EmbeddedObjectStore, server_folder: Any
) -> None:
    """The record of a deleted account stays until its objects are gone."""
    with EmbeddedObjectStore(server_folder / "objects") as store:
        service = await start(**s3_settings(store))
        ada = await service.person()
        await kept(ada)
        assert (await ada.delete("/auth/me", {"password": PASSWORD})).status == 202
        await asyncio.to_thread(store.stop)
        for job in (delete_photos_of_deleted, collect_orphans):
            with pytest.raises(DependencyUnavailable):
                await job(service.deps)
        await expire_uploads(service.deps)
        await asyncio.to_thread(store.start)
        await delete_photos_of_deleted(service.deps)
        assert list(await service.deps.objects.list(f"photos/{ada.user['id']}/")) == []
