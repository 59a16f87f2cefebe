"""The object store over HTTP, against a server that checks signatures."""

from __future__ import annotations

import asyncio
import http.client
import threading
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from gtsd import deadline
from gtsd.dev.host import free_port
from gtsd.dev.object_store import EmbeddedObjectStore
from gtsd.errors import DeadlineExceeded, DependencyUnavailable
from gtsd.settings import Settings
from gtsd.stores.s3 import Download, ObjectMissing, ObjectStore
from gtsd.telemetry.metrics import Metrics
from tests.support.pace import quickest, seconds
from tests.support.redis import logged, settings
from tests.support.relay import Relay

KEY = "users/17/a b+ü.jpg"


def settings_of(server: EmbeddedObjectStore, **changed: Any) -> Settings:
    """What the service is told about that server."""
    given = {
        "s3_endpoint": server.url,
        "s3_bucket": server.bucket,
        "s3_access_key_id": server.access_key_id,
        "s3_secret_access_key": server.secret_access_key,
    }
    return settings(**{**given, **changed})


@pytest.fixture
async def store(object_store: EmbeddedObjectStore) -> AsyncIterator[ObjectStore]:
    opened = await ObjectStore.open(settings_of(object_store), Metrics())
    yield opened
    await opened.close()


def request(
    method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """What a client without any of our keys gets."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


async def test_what_was_put_can_be_read_listed_and_deleted(store: ObjectStore) -> None:
    """With its type and size; and a key may hold any character."""
    assert store.configured
    assert await store.ping(5)
    await store.put(KEY, b"\xff\xd8\xff photo", "image/jpeg")
    assert await store.get(KEY) == b"\xff\xd8\xff photo"
    assert await store.get(KEY, limit=3) == b"\xff\xd8\xff"
    info = await store.head(KEY)
    assert (info.key, info.size, info.content_type) == (KEY, 9, "image/jpeg")
    assert abs(datetime.now(UTC) - info.modified) < timedelta(minutes=1)
    await store.put("users/17/b.jpg", b"", "image/jpeg")
    assert await store.get("users/17/b.jpg", limit=3) == b""
    found = await store.list("users/17/")
    assert (found[0].key, found[0].size, found[0].etag) == (KEY, 9, info.etag)
    assert [one.key for one in await store.list("users/17/", limit=1)] == [KEY]
    for one in found:
        await store.delete(one.key)
    assert list(await store.list("users/17/")) == []


async def test_a_missing_object_is_told_from_a_missing_store(store: ObjectStore) -> None:
    """The one is an answer to a client, the other an outage."""
    with pytest.raises(ObjectMissing):
        await store.get("users/17/missing.jpg")
    with pytest.raises(ObjectMissing):
        await store.head("users/17/missing.jpg")
    await store.delete("users/17/missing.jpg")


async def test_a_presigned_upload_binds_type_and_length(store: ObjectStore) -> None:
    """Who has the URL can put what was agreed, there, and nothing else."""
    upload = await store.presign_put(KEY, "image/jpeg", 5, expires=600)
    assert upload.headers == {"Content-Type": "image/jpeg", "Content-Length": "5"}

    async def put(body: bytes, kind: str = "image/jpeg", url: str = upload.url) -> int:
        headers = {"Content-Type": kind, "Content-Length": str(len(body))}
        return (await asyncio.to_thread(request, "PUT", url, body, headers))[0]

    assert await put(b"123456") == 403
    assert await put(b"1234") == 403
    assert await put(b"12345", kind="text/html") == 403
    assert await put(b"12345", url=upload.url.replace("users/17", "users/18")) == 403
    with pytest.raises(ObjectMissing):
        await store.head(KEY)
    assert await put(b"12345") == 200
    assert await store.get(KEY) == b"12345"
    await store.delete(KEY)


async def test_a_presigned_download_gives_that_object_and_for_its_time(
    store: ObjectStore,
) -> None:
    """Without it nobody can read anything."""
    await store.put(KEY, b"mine", "image/jpeg")
    url = await store.presign_get(KEY, expires=600)
    assert await asyncio.to_thread(request, "GET", url) == (200, b"mine")
    for wrong in (url.partition("?")[0], url.replace("users/17", "users/18")):
        assert (await asyncio.to_thread(request, "GET", wrong))[0] >= 400
    brief = await store.presign_get(KEY, expires=1)
    async with asyncio.timeout(5):
        while (await asyncio.to_thread(request, "GET", brief))[0] == 200:
            await asyncio.sleep(0.1)
    await store.delete(KEY)


async def test_a_download_says_what_the_store_is_to_say_of_it(store: ObjectStore) -> None:
    """Type, name and no leave to keep it are signed with the rest."""
    await store.put(KEY, b"mine", "text/html")
    (url,) = await store.presign_downloads([Download(KEY, "image/png", "photo-1.png")], 60)
    assert (await asyncio.to_thread(request, "GET", url))[1] == b"mine"
    for part in ("image%2Fpng", "photo-1.png", "no-store"):
        assert (await asyncio.to_thread(request, "GET", url.replace(part, "x")))[0] == 403, part
    await store.delete(KEY)


async def test_an_object_can_be_rewritten_under_another_key(store: ObjectStore) -> None:
    """No more of it than allowed is read; what the change raises comes out as it is."""
    await store.put(KEY, b"12345", "image/jpeg")
    size = await store.rewrite(KEY, "other", 4, lambda content: content * 2, "image/png")
    assert (size, await store.get("other")) == (8, b"12341234")
    with pytest.raises(ZeroDivisionError):
        await store.rewrite(KEY, "third", 4, lambda content: content * (1 // 0), "image/png")
    for source in ("third", "missing"):
        with pytest.raises(ObjectMissing):
            await store.rewrite(source, "fourth", 4, bytes, "image/png")
    for key in (KEY, "other"):
        await store.delete(key)


async def test_a_list_goes_on_after_a_key(store: ObjectStore) -> None:
    """Page by page, each in order."""
    keys = [f"pages/{number}" for number in range(5)]
    for key in keys:
        await store.put(key, b"x", "image/jpeg")
    assert [one.key for one in await store.list("pages/", 2, keys[1])] == keys[2:4]
    assert list(await store.list("pages/", 2, keys[4])) == []
    for key in keys:
        await store.delete(key)


async def test_whether_a_store_is_there_is_not_asked_for_every_request(
    object_store: EmbeddedObjectStore,
) -> None:
    """Nor for every request that it fails; a moment later it is asked again."""
    store = await ObjectStore.open(settings_of(object_store, s3_bucket="nowhere"), Metrics())
    with logged() as lines:
        for _ in range(5):
            with pytest.raises(DependencyUnavailable):
                await store.require()
    assert store._failed > 0
    assert len(lines) <= 1
    await store.ensure_bucket()
    store._failed = -10.0
    await store.require()
    answered = store._answered
    await asyncio.gather(*(store.require() for _ in range(5)))
    assert store._answered == answered > 0
    await store.close()


async def test_a_wrong_key_counts_as_a_store_that_cannot_be_had(
    object_store: EmbeddedObjectStore,
) -> None:
    """The log names the kind of the failure, and neither the key nor the object."""
    wrong = settings_of(object_store, s3_secret_access_key="wrong-wrong-wrong")
    store = await ObjectStore.open(wrong, Metrics())
    with logged() as lines, pytest.raises(DependencyUnavailable):
        await store.put(KEY, b"x", "image/jpeg")
    assert lines == ["The object store failed at PutObject: SignatureDoesNotMatch"]
    assert not await store.ping(5)
    await store.close()


async def test_a_store_that_is_down_fails_within_the_deadline() -> None:
    """Nobody listens at the port; the library alone would try for longer."""
    down = settings(
        s3_endpoint=f"http://127.0.0.1:{free_port()}",
        s3_bucket="photos",
        s3_access_key_id="key",
        s3_secret_access_key="secret",
    )
    store = await ObjectStore.open(down, Metrics())

    async def refused() -> None:
        with deadline.within(0.3), pytest.raises(DependencyUnavailable):
            await store.get(KEY)

    assert await quickest(lambda: seconds(refused()), 1) < 1
    assert not await store.ping(0.3)
    with deadline.within(-1), pytest.raises(DeadlineExceeded):
        await store.get(KEY)
    with pytest.raises(DependencyUnavailable):
        await store.get(KEY)
    await store.close()


async def test_a_silent_store_fails_within_the_deadline_and_blocks_nobody(
    object_store: EmbeddedObjectStore,
) -> None:
    """The event loop turns meanwhile, and the call is given up when its time is over."""
    async with Relay(object_store.port) as relay:
        silent = settings_of(object_store, s3_endpoint=f"http://127.0.0.1:{relay.port}")
        store = await ObjectStore.open(silent, Metrics())
        relay.silent = True
        began = time.monotonic()
        with deadline.within(0.3), logged() as lines:
            call = asyncio.create_task(store.get(KEY))
            turns = 0
            while not call.done():
                await asyncio.sleep(0.01)
                turns += 1
        with pytest.raises(DependencyUnavailable):
            await call
        assert 0.25 < time.monotonic() - began < 5
        assert turns > 5
        assert "did not answer GetObject" in lines[0]
    # The relay has closed the connection, so the thread ends.
    await store.close()


async def test_no_more_calls_are_made_at_a_time_than_allowed(
    object_store: EmbeddedObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others wait for a thread, without one of their own."""
    store = await ObjectStore.open(settings_of(object_store, s3_concurrency=3), Metrics())
    lock, now, most = threading.Lock(), 0, 0

    def work(_: object) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1

    await asyncio.gather(*(store._call("Test", work) for _ in range(20)))
    assert most == 3
    await store.close()


async def test_a_call_that_does_not_end_holds_up_a_stop_for_a_bounded_time(
    object_store: EmbeddedObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets a moment; then the stop goes on, and what waited for a thread is dropped."""
    monkeypatch.setattr("gtsd.stores.s3._CLOSE_S", 0.2)
    store = await ObjectStore.open(settings_of(object_store, s3_concurrency=1), Metrics())
    end = threading.Event()
    calls = [asyncio.create_task(store._call("Test", lambda _: end.wait(10))) for _ in range(2)]
    await asyncio.sleep(0.05)
    with logged() as lines:
        await store.close()
    assert lines == ["Calls to the object store do not end, going on without them"]
    end.set()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert outcomes[0] is True
    assert isinstance(outcomes[1], asyncio.CancelledError)


async def test_a_missing_bucket_can_be_made(object_store: EmbeddedObjectStore) -> None:
    """And making it twice is making it once."""
    store = await ObjectStore.open(settings_of(object_store, s3_bucket="another"), Metrics())
    assert not await store.ping(5)
    await store.ensure_bucket()
    await store.ensure_bucket()
    assert await store.ping(5)
    await store.close()


async def test_a_fault_of_ours_is_not_taken_for_an_outage(store: ObjectStore) -> None:
    """An empty key is refused by the library before anything is sent."""
    with pytest.raises(Exception, match="Invalid length for parameter Key"):
        await store.get("")
