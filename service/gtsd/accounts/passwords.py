"""Passwords: argon2id, on threads of their own."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gtsd.telemetry import tracing

# OWASP's Password Storage Cheat Sheet: argon2id with 19 MiB, two passes, one lane.
_MEMORY_KIB: Final = 19 * 1024
_PASSES: Final = 2
_LANES: Final = 1

T = TypeVar("T")


class Argon2Passwords:
    """At most ``concurrency`` at a time: each takes 19 MiB and a core for some 20 ms."""

    def __init__(self, concurrency: int) -> None:
        self._hasher = PasswordHasher(
            time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES
        )
        self._threads = ThreadPoolExecutor(concurrency, "passwords")
        self._nobody = self._hasher.hash("the password of nobody")

    async def hash(self, password: str) -> str:
        """A new hash with its parameters and salt inside."""
        return await self._run(partial(self._hasher.hash, password))

    async def matches(self, password: str, hashed: str | None) -> bool:
        """False for None, after the same work: the time tells nothing of whether a user exists."""
        matches = await self._run(partial(self._verify, hashed or self._nobody, password))
        return matches and hashed is not None

    def is_outdated(self, hashed: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(hashed)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: partial[T]) -> T:
        # Its time is that of waiting for a thread and of hashing.
        with tracing.span("passwords"):
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
