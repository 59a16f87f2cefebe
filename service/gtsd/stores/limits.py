"""How often a subject (an address, an account) may do something, counted by all processes together.

A sliding window of two counters, as in Julien Desgats, "How we built rate limiting capable of
scaling to millions of domains" (Cloudflare, 2017): time is cut into windows as long as the limit's,
and the uses of the window before count with the share of it that the sliding window still covers.
It needs INCRBY and GET only, where an exact log would need a script or a lock. A window of the grid
never holds more than the amount, whoever keeps to the rate is never refused, and what one can win
by a burst at the end of a window is bounded: no stretch of its length holds more than twice the
amount, and the second half of that comes in evenly, not at once.

The library `limits` has this strategy as well, but on Redis it does all counting by scripts (as of
5.8), which the ACL of production forbids: see `redis.py`.

Refused uses are not counted (they are counted and taken back, as there is no way to ask first
without a race), so hammering does not prolong the wait; all that it can do is to have uses refused
that come at the same moment.

Windows are cut by each host's own clock. The time of Redis would arrive with its answer, too late
to choose the key, and asking first would double the round trips. Hosts keep their clocks within
milliseconds by NTP, and a host that is off by s seconds only shifts its share of the uses by s.

With Redis away each process counts by itself with the same arithmetic, starting from nothing.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from gtsd.stores.limit_counters import Counters, LocalCounters, Place, SharedCounters
from gtsd.stores.redis import PREFIX, Redis, RedisAway

if TYPE_CHECKING:
    from gtsd.clock import Clock
    from gtsd.telemetry.metrics import Metrics

_IPV6_SHARE = 64


class Limit(NamedTuple):
    """At most ``amount`` in ``seconds``; ``name`` is a label of a metric and part of a key."""

    name: str
    amount: int
    seconds: int


class Usage(NamedTuple):
    """How a subject stands with a limit. Times are whole seconds, rounded up.

    ``reset_s`` is when all of the amount is there again, ``retry_after_s`` when a refused use would
    be allowed (0 for one that was), both provided that nothing is used until then.
    """

    limit: Limit
    allowed: bool
    remaining: int
    reset_s: int
    retry_after_s: int


Use = tuple[Limit, str]


class Limits:
    """No method raises for a Redis that is away."""

    def __init__(self, redis: Redis, metrics: Metrics, clock: Clock, pepper: bytes) -> None:
        self._shared = SharedCounters(redis)
        self._local = LocalCounters(clock)
        self._limited = metrics.limited
        self._clock = clock
        # Addresses and emails are few enough to be guessed from a bare hash.
        self._pepper = hashlib.sha256(b"gtsd-limits:" + pepper).digest()

    async def hit(self, limit: Limit, subject: str, cost: int = 1) -> Usage:
        """Count a use, unless it is refused."""
        return (await self._hit([(limit, subject)], cost))[0]

    async def hit_all(self, uses: Sequence[Use]) -> list[Usage]:
        """Count a use of each in one round trip; if any is refused, none counts."""
        return await self._hit(uses, 1)

    async def give_back(self, uses: Sequence[Use]) -> None:
        """Take back what was just counted, as for a login that proved right."""
        places, _ = self._places(uses)
        try:
            await self._shared.add(places, -1)
        except RedisAway:
            await self._local.add(places, -1)

    async def add(self, limit: Limit, subject: str, cost: int = 1) -> Usage:
        """Count a use even when it is over the limit."""
        places, times = self._places([(limit, subject)])
        counts, _ = await self._add(places, cost)
        return judge(limit, *counts[0], times[0], cost)

    async def peek(self, limit: Limit, subject: str) -> Usage:
        """What ``hit`` would say, without counting."""
        places, times = self._places([(limit, subject)])
        counts, _ = await self._add(places, 0)
        return judge(limit, *counts[0], times[0], 1)

    async def is_exceeded(self, limit: Limit, subject: str) -> bool:
        """Whether ``hit`` would be refused."""
        return not (await self.peek(limit, subject)).allowed

    async def reset(self, limit: Limit, subject: str) -> None:
        """Forget what was counted."""
        places, _ = self._places([(limit, subject)])
        await self._local.clear(places)
        try:
            await self._shared.clear(places)
        except RedisAway:
            return  # what it holds expires

    async def _hit(self, uses: Sequence[Use], cost: int) -> list[Usage]:
        places, times = self._places(uses)
        counts, counters = await self._add(places, cost)
        usages = [
            judge(limit, *count, time, cost)
            for (limit, _), count, time in zip(uses, counts, times, strict=True)
        ]
        refused = [usage.limit.name for usage in usages if not usage.allowed]
        if refused:
            for name in refused:
                self._limited.labels(name).inc()
            try:
                await counters.add(places, -cost)
            except RedisAway:
                return usages  # what it holds expires
        return usages

    async def _add(
        self, places: Sequence[Place], cost: int
    ) -> tuple[list[tuple[int, int]], Counters]:
        """Uses before and in the current window, without these; and who counted them."""
        counters: Counters = self._shared
        try:
            counts = await counters.add(places, cost)
        except RedisAway:
            counters = self._local
            counts = await counters.add(places, cost)
        return [(previous, current - cost) for previous, current in counts], counters

    def _places(self, uses: Sequence[Use]) -> tuple[list[Place], list[int]]:
        """Where the uses are counted, and how many ms of the current window have passed."""
        now_ms = int(self._clock.now().timestamp() * 1000)
        places, times = [], []
        for limit, subject in uses:
            window, elapsed_ms = divmod(now_ms, limit.seconds * 1000)
            digest = hashlib.blake2b(subject.encode(), digest_size=16, key=self._pepper)
            stem = f"{PREFIX}limit:{limit.name}:{digest.hexdigest()}"
            places.append(Place(f"{stem}:{window - 1}", f"{stem}:{window}", limit.seconds))
            times.append(elapsed_ms)
        return places, times


def judge(limit: Limit, previous: int, current: int, elapsed_ms: int, cost: int) -> Usage:
    """Whether ``cost`` more is allowed after so many uses, so far into the current window.

    In whole uses and whole ms: the share of the previous window is rounded down, or else a client
    that keeps exactly to the rate would be refused every time.
    """
    length = limit.seconds * 1000
    rest = length - elapsed_ms
    previous, current = max(previous, 0), max(current, 0)
    room = limit.amount - current
    free = room - _share(previous, rest, length)
    allowed = cost <= free
    wait = 0
    if allowed:
        free, current = free - cost, current + cost
    elif cost <= room:
        wait = _until(previous, room - cost, rest, length)
    else:
        # Some time after the current window has become the previous one.
        wait = rest + _until(current, limit.amount - cost, length, length)
    reset = (
        rest + _until(current, 0, length, length) if current else _until(previous, 0, rest, length)
    )
    return Usage(limit, allowed, max(free, 0), _seconds(reset), _seconds(wait))


def _share(previous: int, rest: int, length: int) -> int:
    """How many uses of the previous window still count: those of its last ``rest - 1`` ms."""
    return previous * (rest - 1) // length


def _until(previous: int, most: int, rest: int, length: int) -> int:
    """After how many ms no more than ``most`` of them count."""
    if previous == 0:
        return 0
    return max(rest - 1 - ((most + 1) * length - 1) // previous, 0)


def address_subject(address: str) -> str:
    """What one client is to a limit: an IPv4 address, or the /64 network of an IPv6 address.

    Whoever has one IPv6 address has the 2**64 of its network. Raises ValueError.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(ip), _IPV6_SHARE), strict=False))


def _seconds(milliseconds: int) -> int:
    return -(-milliseconds // 1000)
