"""Copies in Redis of what PostgreSQL holds, never older than a write that has been answered.

One hash a user, ``gtsd:user:<id>``. Its field ``v`` is a random word, the user's version; every
other field begins with the token (the fleet's epoch and the user's version) that was in force
*before* its content was loaded, and counts only while that token is in force.

A reader takes the token, loads, and stores under that token. A writer, after its commit and before
its answer, sets a fresh version. Whatever was loaded before the commit thus carries a token that
will never be in force again, however late it is stored. (Deleting the hash would be right as well,
but cost the next reader a round trip to agree on a version. Deleting single fields would be wrong:
a slow reader would put the old content back.) The hash expires ``ttl`` seconds after its version
was set, so nothing is served for longer than that, whatever else fails.

Redis may come back with older data (a restart, a failover) and so with versions that had been
replaced; a version may also never have reached it. Nobody can tell afterwards which users that
concerns. A process that lost a connection, missed a ``forget`` or has just started therefore sets a
fresh epoch before it uses the cache: one write that ends all entries of all users.

What remains: while one process cannot reach Redis and another can, the other may serve what the
first has changed until the first is back (it then sets a fresh epoch at once) or for ``ttl``
seconds. Closing that would take a second channel between processes on every read, or writes that
fail with Redis. The same holds when a process dies between commit and ``forget``; the client has
no answer then, and the replay of a stored answer should ``forget`` again.

Loads must read the primary server, and a release that changes a payload must change its field name.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from gtsd import deadline
from gtsd.errors import DeadlineExceeded
from gtsd.stores.flights import Flights
from gtsd.stores.redis import PREFIX, Redis, RedisAway, Sent
from gtsd.telemetry.metrics import CacheResult

if TYPE_CHECKING:
    from gtsd.telemetry.metrics import Metrics

Load = Callable[[], Awaitable[bytes]]

EPOCH = PREFIX + "epoch"


@dataclass(frozen=True, slots=True)
class CacheRead:
    """What was found, by field; ``version`` goes to ``store``, and is None with the cache off."""

    payloads: Mapping[str, bytes] = field(default_factory=dict)
    version: bytes | None = None


class Asked(NamedTuple):
    """A look-up that is on its way."""

    user_id: int
    fields: Sequence[str]
    doubts: tuple[int, int]
    sent: Sent | None

    def forget(self) -> None:
        """Nobody waits for it any more."""
        if self.sent is not None:
            self.sent.forget()


class Cache:
    """No method raises for a Redis that is away."""

    def __init__(self, redis: Redis, metrics: Metrics, ttl: int = 60) -> None:
        self._redis = redis
        self._requests = metrics.cache_requests
        self._ttl = ttl
        self._flights = Flights()
        self._missed = 0
        # What was known to be lost when the epoch was last set; see _doubts.
        self._settled: tuple[int, int] | None = None
        self._settling = asyncio.Lock()
        redis.on_return(self._settle)

    async def read(self, user_id: int, fields: Sequence[str]) -> CacheRead:
        """Look all fields up in one round trip. Of ``today:2026-01-31`` the metric says ``today``.

        Whoever misses one may load it and pass it to ``store``; a load must not begin before this.
        """
        found = await self._look_up(user_id, fields)
        for name in fields:
            self._count(name, found, hit=name in found.payloads)
        return found

    def ask(self, user_id: int, fields: Sequence[str]) -> Asked:
        """Send what ``told`` waits for, so that other commands can go out with it."""
        doubts = self._doubts()
        sent = None
        if self._settled == doubts:
            with suppress(RedisAway):
                sent = self._redis.send(("GET", EPOCH), ("HMGET", _key(user_id), "v", *fields))
        return Asked(user_id, fields, doubts, sent)

    async def told(self, asked: Asked) -> CacheRead:
        """What was found, for ``fetch``; counted there, where it is used."""
        if asked.sent is None:
            return await self._look_up(asked.user_id, asked.fields)
        return await self._taken(asked, asked.sent)

    async def store(self, user_id: int, field: str, payload: bytes, version: bytes | None) -> None:
        """Keep what was loaded after ``read`` gave ``version``."""
        if version is None:
            return
        key = _key(user_id)
        try:
            await self._redis.run(
                ("HSET", key, field, version + payload),
                # Only where the hash has expired since: an entry must not prolong its version.
                ("EXPIRE", key, self._ttl, "NX"),
            )
        except RedisAway:
            return  # it is loaded again next time

    async def fetch(
        self,
        user_id: int,
        field: str,
        load: Load,
        *,
        mark: bytes = b"",
        found: CacheRead | None = None,
    ) -> bytes:
        """Read, or else load and store. Misses of the same field that come together load once.

        An entry counts only with the same ``mark``, a day for one. ``found`` is what was read ahead
        for this request. Raises what ``load`` raises, which is not kept.
        """
        if found is None:
            found = await self._look_up(user_id, (field,))
        payload = _marked(found, field, mark)
        self._count(field, found, hit=payload is not None)
        if payload is not None:
            return payload
        fly = partial(
            self._flights.share,
            (user_id, field, mark),
            partial(self._fill, user_id, field, load, found.version, mark),
            partial(self._look_again, user_id, field, load, mark),
        )
        try:
            return await fly()
        except DeadlineExceeded:
            # A shared load has the deadline of whoever began it. We may have more time.
            left = deadline.remaining()
            if left is not None and left <= 0:
                raise
        return await fly()

    async def forget(self, *user_ids: int) -> None:
        """End all that is cached of a user: to be awaited between a commit and its answer.

        Of several in one round trip. A deadline that has passed does not stop it, since the write
        has happened.
        """
        keys = [_key(user_id) for user_id in user_ids]
        reached = False
        try:
            await self._redis.run(
                *(("HSET", key, "v", secrets.token_hex(8)) for key in keys),
                *(("EXPIRE", key, self._ttl) for key in keys),
                heed_deadline=False,
            )
            reached = True
        except RedisAway:
            return  # made up for by the next epoch
        finally:
            if not reached:  # cancelled, too
                self._missed += 1

    async def forget_everything(self) -> None:
        """End all that is cached of all users, as soon as Redis can be reached."""
        self._missed += 1
        await self._settle()

    async def _fill(
        self, user_id: int, field: str, load: Load, version: bytes | None, mark: bytes
    ) -> bytes:
        payload = await load()
        await self.store(user_id, field, mark + payload, version)
        return payload

    async def _look_again(self, user_id: int, field: str, load: Load, mark: bytes) -> bytes:
        """Most likely the load before has stored what is wanted."""
        found = await self._look_up(user_id, (field,))
        payload = _marked(found, field, mark)
        if payload is not None:
            return payload
        return await self._fill(user_id, field, load, found.version, mark)

    def _count(self, field: str, found: CacheRead, *, hit: bool) -> None:
        missed = CacheResult.BYPASS if found.version is None else CacheResult.MISS
        result = CacheResult.HIT if hit else missed
        self._requests.labels(field.partition(":")[0], result).inc()

    async def _look_up(self, user_id: int, fields: Sequence[str]) -> CacheRead:
        if self._settled != self._doubts():
            await self._settle()
        asked = self.ask(user_id, fields)
        return CacheRead() if asked.sent is None else await self._taken(asked, asked.sent)

    async def _taken(self, asked: Asked, sent: Sent) -> CacheRead:
        try:
            found = await self._found(asked, await self._redis.answer(sent))
        except RedisAway:
            return CacheRead()
        # Where a connection was lost meanwhile, the answer may be that of a server with older data.
        return found if self._doubts() == asked.doubts else CacheRead()

    async def _found(self, asked: Asked, replies: list[Any]) -> CacheRead:
        epoch, (version, *entries) = replies
        if epoch is None or version is None:
            return CacheRead({}, await self._begin(_key(asked.user_id)))
        token: bytes = epoch + version
        size = len(token)
        pairs = zip(asked.fields, entries, strict=True)
        return CacheRead({name: e[size:] for name, e in pairs if e and e[:size] == token}, token)

    async def _begin(self, key: str) -> bytes | None:
        """Agree with all others on a token for a user (or a fleet) that has none."""
        fresh = secrets.token_hex(8)
        *_, epoch, version = await self._redis.run(
            ("SET", EPOCH, fresh, "NX"),
            ("HSETNX", key, "v", fresh),
            ("EXPIRE", key, self._ttl, "NX"),
            ("GET", EPOCH),
            ("HGET", key, "v"),
        )
        # A server that is out of memory may have evicted them again.
        return None if epoch is None or version is None else epoch + version

    def _doubts(self) -> tuple[int, int]:
        """Changes with everything that may have left entries in Redis that must not be used."""
        return self._redis.generation, self._missed

    async def _settle(self) -> None:
        """Set a fresh epoch if there is any doubt and Redis can be reached."""
        if not self._redis.available:
            return
        async with self._settling:
            doubts = self._doubts()
            if self._settled == doubts:
                return
            try:
                await self._redis.run(("SET", EPOCH, secrets.token_hex(8)))
            except RedisAway:
                return
            # Taken from before: a doubt that arose during the call is not settled by it.
            self._settled = doubts


def _key(user_id: int) -> str:
    return f"{PREFIX}user:{user_id}"


def _marked(found: CacheRead, field: str, mark: bytes) -> bytes | None:
    payload = found.payloads.get(field)
    if payload is None or not payload.startswith(mark):
        return None
    return payload[len(mark) :]
