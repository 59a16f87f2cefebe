"""A confirmation, and what may happen while it waits for the object store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import pytest

from gtsd.errors import DependencyUnavailable
from gtsd.stores.s3 import ObjectStore
from tests.api.conftest import Running
from tests.api.photos.conftest import CONFIRM, PHOTOS, confirm, download, objects, uploaded
from tests.api.tasks.test_tasks import add
from tests.support.client import PASSWORD, Client

Happens = Callable[[], Awaitable[object]]


class Meanwhile(Protocol):
    """Have something done once, before or after the next copy is written."""

    def __call__(self, happens: Happens, *, before: bool = False) -> None: ...


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """As its type says."""
    rewrite = ObjectStore.rewrite

    def arrange(happens: Happens, *, before: bool = False) -> None:
        async def slow(*arguments: Any) -> int:
            monkeypatch.setattr(ObjectStore, "rewrite", rewrite)
            if before:
                await happens()
            size = await rewrite(*arguments)
            if not before:
                await happens()
            return size

        monkeypatch.setattr(ObjectStore, "rewrite", slow)

    return arrange


@pytest.mark.parametrize("before", [True, False])
async def test_a_photo_that_is_confirmed_meanwhile_is_confirmed(
    service: Running, ada: Client, meanwhile: Meanwhile, before: bool
) -> None:
    """200 for whoever comes second: whether the upload has gone by then, or a copy was made."""
    key = await uploaded(ada)
    first: list[Any] = []

    async def other() -> None:
        first.append(await confirm(ada, key))

    meanwhile(other, before=before)
    second = await confirm(ada, key)
    assert (first[0].status, second.status) == (201, 200)
    assert second.data["photoId"] == first[0].data["photoId"]
    assert (await download(second.data["downloadUrl"]))[0] == 200
    assert len(await objects(service, ada)) == 1


async def test_a_task_that_is_deleted_meanwhile_is_missed(
    service: Running, ada: Client, meanwhile: Meanwhile
) -> None:
    """404, no copy stays, and the photo can be confirmed without it."""
    task, key = await add(ada), await uploaded(ada)
    meanwhile(lambda: ada.delete(f"/v1/tasks/{task['id']}"))
    answer = await confirm(ada, key, taskId=task["id"])
    assert (answer.status, answer.error["message"]) == (404, "There is no such task.")
    assert await objects(service, ada) == [key]
    assert (await confirm(ada, key)).status == 201


async def test_a_refusal_of_the_key_leaves_no_copy(service: Running, ada: Client) -> None:
    """Or somebody could fill the bucket with refused requests."""
    key = await uploaded(ada)
    body, headers = {"fileKey": key}, {"Idempotency-Key": "not visible ä"}
    assert (await ada.post(CONFIRM, body, headers=headers)).status == 400
    assert await objects(service, ada) == [key]


async def test_a_deleted_account_confirms_nothing(
    service: Running, ada: Client, meanwhile: Meanwhile
) -> None:
    """401, as for every request of an account that has gone."""
    key = await uploaded(ada)
    meanwhile(lambda: ada.delete("/auth/me", {"password": PASSWORD}))
    assert (await confirm(ada, key)).status == 401


async def test_an_upload_that_cannot_be_deleted_is_left_to_the_collection(
    service: Running, ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The photo is kept, and deleted, all the same."""

    async def away(*_: object) -> None:
        raise DependencyUnavailable("object_store")

    key = await uploaded(ada)
    monkeypatch.setattr(ObjectStore, "delete", away)
    answer = await confirm(ada, key)
    assert answer.status == 201
    assert key in await objects(service, ada)
    assert (await ada.delete(f"{PHOTOS}/{answer.data['photoId']}")).status == 200
    assert (await ada.get(PHOTOS)).data["photos"] == []
    assert len(await objects(service, ada)) == 2
