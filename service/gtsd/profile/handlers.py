"""HTTP of profiles: parse, call, answer."""

from __future__ import annotations

from gtsd.plans.people import Here
from gtsd.profile import operations
from gtsd.web.answers import Answer, success
from gtsd.web.call import Call
from gtsd.web.idempotency import write


def _here(call: Call) -> Here:
    return Here.of(call.user.id, call.user.timezone, call.deps.clock.now())


async def onboard(call: Call) -> Answer:
    """POST /v1/onboarding"""
    return await write(call, lambda tx: operations.onboard(tx, _here(call), call.body))


async def how_it_works(call: Call) -> Answer:
    """GET /v1/summary/how-it-works"""
    return success(await operations.how_it_works(call.deps.postgres, _here(call)))


async def show(call: Call) -> Answer:
    """GET /v1/profile and /v1/auth/profile"""
    return success(await operations.show(call.deps.postgres, _here(call)))


async def change(call: Call) -> Answer:
    """PATCH and PUT /v1/profile and /v1/auth/profile"""
    return await write(call, lambda tx: operations.change(tx, _here(call), call.body))


async def audit(call: Call) -> Answer:
    """GET /v1/profile/audit"""
    return success(await operations.audit(call.deps.postgres, call.user.id, call.query))


async def metrics(call: Call) -> Answer:
    """GET /v1/profile/metrics/today"""
    return success(await operations.metrics(call.deps.postgres, _here(call)))


async def acknowledge(call: Call) -> Answer:
    """POST /v1/profile/metrics/acknowledge"""
    return await write(call, lambda tx: operations.acknowledge(tx, _here(call), call.body))
