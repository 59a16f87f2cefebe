"""HTTP of badges: parse, call, answer."""

from __future__ import annotations

from gtsd.badges import operations
from gtsd.web.answers import Answer, success
from gtsd.web.call import Call


async def mine(call: Call) -> Answer:
    """GET /v1/badges/me"""
    return success(await operations.mine(call.deps.postgres, call.user.id))


async def available(call: Call) -> Answer:
    """GET /v1/badges/available"""
    return success(await operations.available(call.deps.postgres, call.user.id, call.today))
