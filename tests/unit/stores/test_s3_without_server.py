"""The object store where none is configured, and what its client is made of."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gtsd.stores.s3 import ObjectStore, ObjectStoreNotConfigured
from gtsd.stores.s3_client import connect
from gtsd.telemetry.metrics import Metrics
from tests.support.redis import settings


async def test_without_settings_every_call_says_so() -> None:
    """The routes for photos are then not there; nothing else depends on it."""
    store = await ObjectStore.open(settings(), Metrics())
    assert not store.configured
    assert not await store.ping(1)
    with pytest.raises(ObjectStoreNotConfigured):
        await store.get("key")
    with pytest.raises(ObjectStoreNotConfigured):
        await store.presign_get("key", 60)
    await store.close()


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("https://s3.example.org", "https://s3.example.org/photos/key?"),
        ("https://s3.eu-west-1.amazonaws.com", "https://photos.s3.eu-west-1.amazonaws.com/key?"),
    ],
)
def test_only_amazon_has_a_host_for_each_bucket(endpoint: str, url: str) -> None:
    """Other stores have no such names, and no certificates for them."""
    client = connect(
        settings(
            s3_endpoint=endpoint,
            s3_bucket="photos",
            s3_access_key_id="key",
            s3_secret_access_key="secret",
            s3_region="eu-west-1",
        )
    )
    signed = client.generate_presigned_url("get_object", {"Bucket": "photos", "Key": "key"})
    assert signed.startswith(url)
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in signed
    client.close()


def test_boto3_is_not_imported_before_a_store_is_opened() -> None:
    """It takes half a second, which commands without a store need not pay."""
    code = "import sys, gtsd.stores.s3; sys.exit('boto3' in sys.modules)"
    path = next(entry for entry in sys.path if entry.endswith("service"))
    assert subprocess.run([sys.executable, "-c", code], cwd=path, check=False).returncode == 0
