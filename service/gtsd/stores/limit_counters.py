"""Counters of uses: in Redis for all processes, or in this one while Redis is away."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from gtsd.clock import Clock
    from gtsd.stores.redis import Redis
    from gtsd.stores.redis_pool import Command

_LOCAL_SIZE = 50_000
# A counter is read until the window after its own has ended. Other hosts' clocks may be behind.
_SLACK_MS = 5_000


class Place(NamedTuple):
    """The counters of the previous and the current window, and the length of a window."""

    previous: str
    current: str
    seconds: int

    @property
    def life_ms(self) -> int:
        """How long the current counter may be needed, at most."""
        return 2000 * self.seconds + _SLACK_MS


class Counters(Protocol):
    """What both kinds do; the shared one raises ``RedisAway``."""

    async def add(self, places: Sequence[Place], number: int) -> list[tuple[int, int]]:
        """Add to each current counter (0 only reads); all (previous, current) after that."""
        ...

    async def clear(self, places: Sequence[Place]) -> None:
        """Set them all to 0."""
        ...


class SharedCounters:
    """In Redis, in one round trip and without a script."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def add(self, places: Sequence[Place], number: int) -> list[tuple[int, int]]:
        """See ``Counters``."""
        commands: list[Command] = []
        for place in places:
            if number:
                commands.append(("INCRBY", place.current, number))
                commands.append(("PEXPIRE", place.current, place.life_ms))
            else:
                commands.append(("GET", place.current))
            commands.append(("GET", place.previous))
        replies = await self._redis.run(*commands)
        step = 3 if number else 2
        return [
            (int(replies[at + step - 1] or 0), int(replies[at] or 0))
            for at in range(0, len(replies), step)
        ]

    async def clear(self, places: Sequence[Place]) -> None:
        """See ``Counters``."""
        await self._redis.run(("DEL", *(key for p in places for key in (p.previous, p.current))))


class LocalCounters:
    """In this process, at most so many; the ones that were used longest ago make room."""

    def __init__(self, clock: Clock, size: int = _LOCAL_SIZE) -> None:
        self._clock = clock
        self._size = size
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counts)

    async def add(self, places: Sequence[Place], number: int) -> list[tuple[int, int]]:
        """See ``Counters``."""
        return [(self._get(place.previous), self._add(place, number)) for place in places]

    async def clear(self, places: Sequence[Place]) -> None:
        """See ``Counters``."""
        for place in places:
            self._counts.pop(place.previous, None)
            self._counts.pop(place.current, None)

    def _get(self, key: str) -> int:
        return self._counts.get(key, (0, 0.0))[0]

    def _add(self, place: Place, number: int) -> int:
        count = self._get(place.current) + number
        if number:
            expires = self._clock.monotonic() + place.life_ms / 1000
            self._counts[place.current] = (count, expires)
            self._counts.move_to_end(place.current)
            self._tidy()
        return count

    def _tidy(self) -> None:
        """Drop what is over the size, and a few that have expired: more than are added."""
        now = self._clock.monotonic()
        for _ in range(2):
            oldest = next(iter(self._counts))
            if len(self._counts) > self._size or self._counts[oldest][1] < now:
                del self._counts[oldest]
