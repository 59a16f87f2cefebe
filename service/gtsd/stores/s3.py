"""Object store (interfaces first)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gtsd.settings import Settings
    from gtsd.telemetry.metrics import Metrics


class ObjectMissing(Exception):
    """There is no object of that key."""


class ObjectStoreNotConfigured(Exception):
    """No S3 settings were given; never shown to a client."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What the store says of an object; size in bytes, etag without quotes."""

    key: str
    size: int
    etag: str
    modified: datetime
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """Where a client may PUT, and the headers that it must send with it, exactly."""

    url: str
    headers: Mapping[str, str]


class ObjectStore:
    """One bucket; every call raises DependencyUnavailable("object_store") when it cannot be had."""

    @classmethod
    async def open(cls, settings: Settings, metrics: Metrics) -> ObjectStore:
        """Needs no server; without settings every call raises ``ObjectStoreNotConfigured``."""
        raise NotImplementedError

    @property
    def configured(self) -> bool:
        """Whether there is a store to be used at all."""
        raise NotImplementedError

    async def close(self) -> None:
        """Wait for the calls under way, then end the threads."""

    async def ping(self, timeout: float) -> bool:
        """Whether the bucket answers within so many seconds."""
        raise NotImplementedError

    async def ensure_bucket(self) -> None:
        """Create the bucket if it is missing."""

    async def put(self, key: str, content: bytes, content_type: str) -> None:
        """Write an object, replacing one of the same key."""

    async def get(self, key: str, limit: int | None = None) -> bytes:
        """The content, or its first ``limit`` bytes; raises ``ObjectMissing``."""
        raise NotImplementedError

    async def head(self, key: str) -> ObjectInfo:
        """Size, type and age of an object; raises ``ObjectMissing``."""
        raise NotImplementedError

    async def delete(self, key: str) -> None:
        """Delete an object; one that is missing is no error."""

    async def list(self, prefix: str, limit: int = 1000) -> list[ObjectInfo]:
        """Objects whose key begins so, in order of their keys, at most ``limit``."""
        raise NotImplementedError

    async def presign_put(self, key: str, content_type: str, size: int, expires: int) -> Upload:
        """Leave to upload exactly this type and so many bytes, for ``expires`` seconds."""
        raise NotImplementedError

    async def presign_get(self, key: str, expires: int) -> str:
        """A URL that shows the object for so many seconds."""
        raise NotImplementedError
