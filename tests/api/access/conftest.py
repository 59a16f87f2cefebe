"""The service with all its stores, since there are routes for each."""

from __future__ import annotations

import msgspec
import pytest

from gtsd.dev.object_store import EmbeddedObjectStore
from gtsd.settings import Settings


@pytest.fixture
def settings(settings: Settings, object_store: EmbeddedObjectStore) -> Settings:
    """As elsewhere, and the object store."""
    return msgspec.structs.replace(
        settings,
        s3_endpoint=object_store.url,
        s3_bucket=object_store.bucket,
        s3_access_key_id=object_store.access_key_id,
        s3_secret_access_key=object_store.secret_access_key,
    )
