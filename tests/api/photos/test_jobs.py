"""The bucket holds what the rows name, and nothing else for longer than a day."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gtsd.clock import FixedClock
from gtsd.photos import operations
from gtsd.photos.jobs import collect_orphans, delete_photos_of_deleted, expire_uploads
from gtsd.stores.postgres import Query
from tests.api.conftest import Running
from tests.api.photos.conftest import (
    PHOTOS,
    confirm,
    download,
    kept,
    objects,
    presign,
    put,
    uploaded,
)
from tests.support.client import PASSWORD, Client
from tests.support.photos import photo


@pytest.fixture
def clock() -> FixedClock:
    """The object store says by its own clock how old things are, so this one begins there."""
    return FixedClock(datetime.now(UTC))


async def _count(service: Running, table: str) -> int:
    number: int = await service.deps.postgres.value(Query("test", f"SELECT count(*) FROM {table}"))
    return number


async def _sign_in(service: Running, client: Client) -> Client:
    body = {"email": client.user["email"], "password": PASSWORD}
    return service.client.signed_in((await service.client.post("/auth/login", body)).data)


async def test_uploads_that_were_not_confirmed_within_a_day_are_deleted(
    service: Running, ada: Client, clock: FixedClock
) -> None:
    """Row and object; run twice, it is done once. Photos and younger uploads stay."""
    await kept(ada)
    old = await uploaded(ada)
    never = await presign(ada, b"x")
    clock.move(timedelta(hours=23))
    await expire_uploads(service.deps)
    ada = await _sign_in(service, ada)
    young = await uploaded(ada)
    assert old in await objects(service, ada)
    clock.move(timedelta(hours=1, seconds=1))
    for _ in range(2):
        await expire_uploads(service.deps)
        left = await objects(service, ada)
        assert (old in left, young in left, len(left)) == (False, True, 2)
    ada = await _sign_in(service, ada)
    for key in (old, never["fileKey"]):
        assert (await confirm(ada, key)).status == 404
    assert (await confirm(ada, young)).status == 201


async def test_uploads_expire_in_as_many_statements_as_it_takes(
    service: Running, ada: Client, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them for so many and no more."""
    monkeypatch.setattr("gtsd.photos.jobs._PAGE", 2)
    for _ in range(5):
        await presign(ada, b"x")
    clock.move(timedelta(hours=25))
    await expire_uploads(service.deps)
    assert await _count(service, f"photos WHERE user_id = {ada.user['id']}") == 0


async def test_a_confirmation_beside_the_clean_up_wins_or_finds_nothing(
    service: Running, ada: Client, clock: FixedClock
) -> None:
    """Many times over: a photo that was confirmed can be downloaded, always."""
    keys = [await uploaded(ada) for _ in range(8)]
    clock.move(timedelta(hours=24, seconds=1))
    again = await _sign_in(service, ada)
    answers, _, _ = await asyncio.gather(
        asyncio.gather(*(confirm(again, key) for key in keys)),
        expire_uploads(service.deps),
        collect_orphans(service.deps),
    )
    for answer in answers:
        # 409: the object went after the row had been read.
        assert answer.status in (201, 404, 409)
        if answer.status == 201:
            assert (await download(answer.data["downloadUrl"]))[0] == 200


@pytest.mark.parametrize(("age", "status"), [(timedelta(hours=24), 200), (timedelta(0), 404)])
async def test_a_copy_is_no_orphan_before_its_row_names_it(
    service: Running,
    ada: Client,
    clock: FixedClock,
    monkeypatch: pytest.MonkeyPatch,
    age: timedelta,
    status: int,
) -> None:
    """A collection between copy and commit takes nothing. The control takes what has any age."""
    key = await uploaded(ada)
    rewrite = type(service.deps.objects).rewrite

    async def slow(*arguments: Any) -> int:
        size: int = await rewrite(*arguments)
        clock.move(timedelta(seconds=2))
        await collect_orphans(service.deps)
        return size

    monkeypatch.setattr("gtsd.photos.jobs._UNCONFIRMED", age)
    monkeypatch.setattr(type(service.deps.objects), "rewrite", slow)
    answer = await confirm(ada, key)
    assert answer.status == 201
    assert (await download(answer.data["downloadUrl"]))[0] == status


async def test_a_row_that_expires_during_its_confirmation_is_not_confirmed(
    service: Running, ada: Client, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy is taken back, and no photo without an object comes of it."""
    key = await uploaded(ada)
    rewrite = type(service.deps.objects).rewrite

    async def slow(*arguments: Any) -> int:
        size: int = await rewrite(*arguments)
        clock.move(timedelta(hours=25))
        await expire_uploads(service.deps)
        clock.move(timedelta(hours=-25))
        return size

    monkeypatch.setattr(type(service.deps.objects), "rewrite", slow)
    assert (await confirm(ada, key)).status == 404
    assert await objects(service, ada) == []
    assert (await ada.get(PHOTOS)).data["photos"] == []


async def test_the_objects_of_a_deleted_account_are_deleted(
    service: Running, ada: Client, clock: FixedClock
) -> None:
    """Photos and uploads; another's stay. What arrives late by a presigned URL goes as well."""
    bob = await service.person()
    theirs = await kept(bob)
    await kept(ada)
    await uploaded(ada)
    content = photo("image/jpeg")
    late = await presign(ada, content)
    assert (await ada.delete("/auth/me", {"password": PASSWORD})).status == 202
    mine = f"photo_owners_deleted WHERE user_id = {ada.user['id']}"
    assert await _count(service, mine) == 1
    await delete_photos_of_deleted(service.deps)
    assert await objects(service, ada) == []
    assert await put(late, content) == 200
    assert await _count(service, mine) == 1
    clock.move(timedelta(minutes=12))
    await delete_photos_of_deleted(service.deps)
    assert await objects(service, ada) == []
    assert await _count(service, mine) == 0
    await delete_photos_of_deleted(service.deps)
    assert (await download(theirs["downloadUrl"]))[0] == 200


async def test_a_deletion_that_fails_leaves_nothing_to_do(
    service: Running, ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is written in the transaction that deletes the account, or not at all."""

    async def fail(*_: object) -> None:
        raise RuntimeError("after the deletion")

    monkeypatch.setattr(operations, "forget_owner", fail)
    assert (await ada.delete("/auth/me", {"password": PASSWORD})).status == 500
    assert (await ada.get("/auth/me")).status == 200
    monkeypatch.undo()
    mine = f"photo_owners_deleted WHERE user_id = {ada.user['id']}"
    assert await _count(service, mine) == 0
    assert (await ada.delete("/auth/me", {"password": PASSWORD})).status == 202
    assert await _count(service, mine) == 1


async def test_orphans_are_collected_once_they_are_a_day_old(
    service: Running, ada: Client, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page; what a row names stays, and so does what we did not put there."""
    monkeypatch.setattr("gtsd.photos.jobs._PAGE", 2)
    monkeypatch.setattr("gtsd.photos.jobs._PAGES", 10_000)
    store, user_id = service.deps.objects, ada.user["id"]
    photos = [await kept(ada) for _ in range(3)]
    waiting = await uploaded(ada)
    named = await objects(service, ada)
    orphans = [f"photos/{user_id}/{n:032x}.jpg" for n in range(5)]
    orphans += [f"uploads/{user_id}/{n:032x}.jpg" for n in range(5)]
    foreign = [f"photos/{user_id}", "photos/readme.txt", "other/1/a.jpg"]
    for key in [*orphans, *foreign[1:]]:
        await store.put(key, b"x", "image/jpeg")
    # Confirmed, and then uploaded once more with the URL that is still good.
    again = await presign(ada, content := photo("image/jpeg"))
    await put(again, content)
    await confirm(ada, again["fileKey"])
    assert await put(again, content) == 200
    await collect_orphans(service.deps)
    assert set(orphans) < set(await objects(service, ada))
    clock.move(timedelta(hours=24, minutes=1))
    # Its row would have expired by now; here it is as young as the row of an upload can be.
    await service.deps.postgres.execute(
        Query("test", "UPDATE photos SET created_at = %(now)s WHERE confirmed_at IS NULL"),
        now=clock.now(),
    )
    for _ in range(2):
        await collect_orphans(service.deps)
        left = set(await objects(service, ada))
        assert left & {*orphans, again["fileKey"]} == set()
        assert {*named, waiting} <= left
    for said in photos:
        assert (await download(said["downloadUrl"]))[0] == 200
    for key in foreign[1:]:
        assert (await store.head(key)).size == 1
        await store.delete(key)


async def test_a_large_bucket_is_gone_through_in_several_runs(
    service: Running, ada: Client, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each begins where the last one ended, and after the end the first one begins again."""
    monkeypatch.setattr("gtsd.photos.jobs._PAGE", 1)
    monkeypatch.setattr("gtsd.photos.jobs._PAGES", 1)
    await service.deps.postgres.execute(Query("test", "DELETE FROM photo_sweeps"))
    user_id = ada.user["id"]
    orphans = [f"photos/{user_id}/{n:032x}.jpg" for n in range(2)]
    for key in orphans:
        await service.deps.objects.put(key, b"x", "image/jpeg")
    clock.move(timedelta(hours=25))
    for _ in range(2):
        runs = 0
        while await _position(service) < orphans[-1]:
            await collect_orphans(service.deps)
            runs += 1
            assert runs < 200
        assert runs > 1
        assert await objects(service, ada) == []
        for key in orphans:
            await service.deps.objects.put(key, b"x", "image/jpeg")
        while await _position(service):
            await collect_orphans(service.deps)
        await collect_orphans(service.deps)


async def _position(service: Running) -> str:
    """How far the search in the folder of photos has come."""
    query = Query("test", "SELECT after_key FROM photo_sweeps WHERE folder = 'photos/'")
    return await service.deps.postgres.value(query) or ""


async def test_jobs_without_an_object_store_have_nothing_to_do(start: Any) -> None:
    """And do not fail night after night; a deleted account is forgotten."""
    service = await start()
    ada = await service.person()
    assert (await ada.delete("/auth/me", {"password": PASSWORD})).status == 202
    service.deps.clock.move(timedelta(days=2))
    for job in (expire_uploads, delete_photos_of_deleted, collect_orphans):
        await job(service.deps)
    mine = f"photo_owners_deleted WHERE user_id = {ada.user['id']}"
    assert await _count(service, mine) == 0
