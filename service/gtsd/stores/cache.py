"""Cache (interfaces first; the protocol is described here when it is built)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gtsd.stores.redis import Redis
    from gtsd.telemetry.metrics import Metrics

Load = Callable[[], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class CacheRead:
    """What was found, by field, and the version to give to ``store``: None means do not store."""

    payloads: Mapping[str, bytes]
    version: bytes | None


class Cache:
    """Copies of what PostgreSQL holds, by user and field."""

    def __init__(self, redis: Redis, metrics: Metrics, ttl: int = 60) -> None:
        self._redis = redis
        self._metrics = metrics
        self._ttl = ttl

    async def read(self, user_id: int, fields: Sequence[str]) -> CacheRead:
        """Look all fields up in one round trip; never raises for a Redis that is away."""
        return CacheRead({}, None)

    async def store(self, user_id: int, field: str, payload: bytes, version: bytes | None) -> None:
        """Keep what was loaded after ``version`` was read."""

    async def fetch(self, user_id: int, field: str, load: Load) -> bytes:
        """Read, or load and store; concurrent misses of one key in this process load once."""
        return await load()

    async def forget(self, user_id: int) -> None:
        """To be awaited after the commit of a write and before its answer."""

    async def forget_everything(self) -> None:
        """As ``forget``, for all users at once."""
