"""Probes, metrics and the documents: what is asked by machines and by those who run them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final, Literal

from gtsd.deps import Deps
from gtsd.ops.types import Health, Liveness, Readiness, Status
from gtsd.web.answers import Answer, encode
from gtsd.web.call import Call

# Probes are answered within 1 s whatever a server does. For a database that swallows everything the
# store waits a quarter of a second longer, for the answer that time is up.
_PROBE_S: Final = 0.6


async def health(call: Call) -> Answer:
    """GET /health"""
    deps = call.deps
    database, redis = await asyncio.gather(_database(deps), deps.redis.ping(_PROBE_S))
    status: Status = "healthy"
    if not database:
        status = "unhealthy"
    elif deps.redis.configured and not redis:
        status = "degraded"
    return Answer(200 if database else 503, encode(_shown(deps, status, database, redis)))


def _shown(deps: Deps, status: Status, database: bool, redis: bool) -> Health:
    return Health(
        status=status,
        timestamp=_moment(deps.clock.now()),
        uptime=int(deps.clock.monotonic() - deps.life.started),
        database="connected" if database else "disconnected",
        redis=_redis_word(deps, redis),
        version=deps.settings.app_version,
        git_sha=deps.settings.git_sha,
    )


async def alive(call: Call) -> Answer:
    """GET /healthz: touches nothing, so it fails only when the event loop does not turn."""
    del call
    return Answer(200, encode(Liveness(status="alive")))


async def ready(call: Call) -> Answer:
    """GET /ready"""
    why = await _not_ready(call.deps)
    body = encode(Readiness(status=why or "ready", version=call.deps.settings.app_version))
    return Answer(503, body, {"Retry-After": "1"}) if why else Answer(200, body)


async def _not_ready(deps: Deps) -> Literal["starting", "draining", "no_database"] | None:
    if deps.life.draining:
        return "draining"
    if not deps.life.ready:
        return "starting"
    return None if await _database(deps) else "no_database"


async def metrics(call: Call) -> Answer:
    """GET /metrics"""
    state = call.deps.postgres.pool_state
    own = call.deps.metrics
    own.pool_size.set(state.size)
    own.pool_used.set(state.used)
    own.pool_waiting.set(state.waiting)
    own.pool_limit.set(state.limit)
    body, content_type = own.render(call.request.headers.get("Accept", ""))
    # A collector keeps its connection idle until it asks again, and a drain would wait for it.
    return Answer(200, body, content_type=content_type, closes=True)


async def _database(deps: Deps) -> bool:
    """Whether PostgreSQL answers, or is at work on every connection that we may have.

    Without the latter, a busy moment would turn readiness red on every host at once. A server that
    is gone does not stay busy: its connections fail, at the latest by the requests' deadline.
    """
    if await deps.postgres.ping(_PROBE_S):
        return True
    state = deps.postgres.pool_state
    return state.used >= state.limit


def _redis_word(deps: Deps, up: bool) -> Literal["connected", "disconnected", "disabled"]:
    if not deps.redis.configured:
        return "disabled"
    return "connected" if up else "disconnected"


def _moment(now: datetime) -> str:
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
