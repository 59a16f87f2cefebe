"""What the object store gives to those who use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


class ObjectMissing(Exception):
    """There is no object of that key."""


class ObjectStoreNotConfigured(Exception):
    """No S3 settings were given; never shown to a client."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What the store says of an object; size in bytes, ``content_type`` only from ``head``."""

    key: str
    size: int
    etag: str
    modified: datetime
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """Where a client may PUT, and the headers that it must send with it, exactly so."""

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Download:
    """An object to be given out, and what the store is to call it: its type and file name."""

    key: str
    content_type: str
    file_name: str
