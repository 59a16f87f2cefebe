"""Limits (interfaces first)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gtsd.clock import Clock
    from gtsd.stores.redis import Redis
    from gtsd.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``amount`` in any ``seconds``; ``name`` is a label of a metric and part of a key."""

    name: str
    amount: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Usage:
    """How a subject stands with a limit; whole seconds, rounded up."""

    limit: Limit
    allowed: bool
    remaining: int
    reset_s: int
    retry_after_s: int


class Limits:
    """Counts by limit and subject, shared by all processes through Redis while it is there."""

    def __init__(self, redis: Redis, metrics: Metrics, clock: Clock, pepper: bytes) -> None:
        self._redis = redis
        self._metrics = metrics
        self._clock = clock
        self._pepper = pepper

    async def hit(self, limit: Limit, subject: str, cost: int = 1) -> Usage:
        """Count one use, unless it is refused."""
        return Usage(limit, True, limit.amount, 0, 0)

    async def hit_all(self, uses: Sequence[tuple[Limit, str]]) -> list[Usage]:
        """Count one use of each in one round trip; when one of them is refused, of none."""
        return [await self.hit(limit, subject) for limit, subject in uses]

    async def give_back(self, uses: Sequence[tuple[Limit, str]]) -> None:
        """Uncount what was just counted: a login that proved right, after ``hit_all``."""

    async def add(self, limit: Limit, subject: str, cost: int = 1) -> Usage:
        """Count in any case, also over the limit."""
        return Usage(limit, True, limit.amount, 0, 0)

    async def peek(self, limit: Limit, subject: str) -> Usage:
        """What ``hit`` would say, without counting."""
        return Usage(limit, True, limit.amount, 0, 0)

    async def is_exceeded(self, limit: Limit, subject: str) -> bool:
        """Whether ``hit`` would be refused."""
        return False

    async def reset(self, limit: Limit, subject: str) -> None:
        """Forget all that was counted."""


def address_subject(address: str) -> str:
    """What one client is for a limit: an IPv4 address, or the /64 of an IPv6 address.

    Whoever has one IPv6 address has 2**64 of them. Raises ValueError.
    """
    ip = ipaddress.ip_address(address)
    return str(ip)
