"""The service with an object store that checks signatures."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gtsd.dev.object_store import EmbeddedObjectStore
from tests.api.conftest import Running, Start
from tests.support.client import Client, Response
from tests.support.photos import photo, request

PRESIGN = "/v1/progress/photo/presign"
CONFIRM = "/v1/progress/photo/confirm"
PHOTOS = "/v1/progress/photos"


def s3_settings(server: EmbeddedObjectStore, **changes: Any) -> dict[str, Any]:
    """What the service is told about the object store."""
    given = {
        "s3_endpoint": server.url,
        "s3_bucket": server.bucket,
        "s3_access_key_id": server.access_key_id,
        "s3_secret_access_key": server.secret_access_key,
    }
    return {**given, **changes}


@pytest.fixture
async def service(start: Start, object_store: EmbeddedObjectStore) -> Running:
    """An instance that keeps photos."""
    return await start(**s3_settings(object_store))


async def presign(
    client: Client, content: bytes, content_type: str = "image/jpeg", name: str = "front.jpg"
) -> dict[str, Any]:
    """Leave to upload these bytes."""
    body = {"fileName": name, "contentType": content_type, "fileSize": len(content)}
    answer = await client.post(PRESIGN, body)
    assert answer.status == 200, answer.body
    allowed: dict[str, Any] = answer.data
    return allowed


async def put(allowed: dict[str, Any], content: bytes, **headers: str) -> int:
    """Upload as a client does; gives the store's status."""
    sent = {**allowed["headers"], "Content-Length": str(len(content)), **headers}
    return (await asyncio.to_thread(request, "PUT", allowed["uploadUrl"], content, sent))[0]


async def uploaded(client: Client, content_type: str = "image/jpeg") -> str:
    """A photo that waits to be confirmed; gives its fileKey."""
    content = photo(content_type)
    allowed = await presign(client, content, content_type)
    assert await put(allowed, content) == 200
    key: str = allowed["fileKey"]
    return key


async def confirm(client: Client, key: str, **fields: Any) -> Response:
    """Say that it was uploaded."""
    return await client.post(CONFIRM, {"fileKey": key, **fields})


async def kept(client: Client, content_type: str = "image/jpeg", **fields: Any) -> dict[str, Any]:
    """A photo; gives what the confirmation said."""
    answer = await confirm(client, await uploaded(client, content_type), **fields)
    assert answer.status == 201, answer.body
    said: dict[str, Any] = answer.data
    return said


async def download(url: str) -> tuple[int, dict[str, str], bytes]:
    """As somebody without a token."""
    return await asyncio.to_thread(request, "GET", url)


async def objects(service: Running, client: Client) -> list[str]:
    """What of a person is in the bucket."""
    store, user_id = service.deps.objects, client.user["id"]
    found = [one.key for f in ("photos", "uploads") for one in await store.list(f"{f}/{user_id}/")]
    return sorted(found)
