"""The object store is strict enough to find faults of ours."""

from __future__ import annotations

import http.client

import pytest
from botocore.exceptions import ClientError

from gtsd.dev.object_store import EmbeddedObjectStore
from tests.unit.dev.clients import s3


def _send(store: EmbeddedObjectStore, method: str, url: str, body: bytes, kind: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", store.port, timeout=10)
    try:
        connection.request(method, url.removeprefix(store.url), body, {"Content-Type": kind})
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_request_without_a_right_signature_is_refused(object_store: EmbeddedObjectStore) -> None:
    """Unsigned, and signed with another secret."""
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        s3(object_store, secret="another-secret").list_buckets()
    assert _send(object_store, "GET", f"/{object_store.bucket}", b"", "text/plain") == 400
    assert s3(object_store).list_buckets()["Buckets"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [(b"12345", "image/jpeg", 200), (b"12345", "image/png", 403), (b"123456", "image/jpeg", 403)],
)
def test_a_presigned_upload_binds_type_and_length(
    object_store: EmbeddedObjectStore, body: bytes, kind: str, status: int
) -> None:
    """What the API promises of photos can be tested with it."""
    client = s3(object_store)
    name = {"Bucket": object_store.bucket, "Key": f"u/{len(body)}/{kind}.jpg"}
    signed = {**name, "ContentLength": 5, "ContentType": "image/jpeg"}
    url = client.generate_presigned_url("put_object", signed, 60)
    assert _send(object_store, "PUT", url, body, kind) == status
    if status == 200:
        found = client.head_object(**name)
        assert (found["ContentLength"], found["ContentType"]) == (5, "image/jpeg")
    else:
        with pytest.raises(ClientError, match="404"):
            client.head_object(**name)
