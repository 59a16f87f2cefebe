"""HTTP of streaks: parse, call, answer."""

from __future__ import annotations

from gtsd.streaks import operations
from gtsd.web.answers import Answer, success
from gtsd.web.call import Call
from gtsd.web.idempotency import write


async def mine(call: Call) -> Answer:
    """GET /v1/streaks/me"""
    return success(await operations.mine(call.deps.postgres, call.user.id, call.today))


async def history(call: Call) -> Answer:
    """GET /v1/streaks/history"""
    return success(await operations.history(call.deps.postgres, call.user.id, call.query))


async def check(call: Call) -> Answer:
    """POST /v1/streaks/check-compliance"""
    day, now = call.body.date or call.today, call.deps.clock.now()
    return await write(call, lambda tx: operations.check(tx, call.user.id, day, call.today, now))
