"""HTTP of plans: parse, call, answer."""

from __future__ import annotations

from gtsd.plans import operations
from gtsd.plans.people import Here
from gtsd.stores.postgres import Transaction
from gtsd.web.answers import Answer, success
from gtsd.web.call import Call
from gtsd.web.idempotency import write


def _here(call: Call) -> Here:
    return Here.of(call.user.id, call.user.timezone, call.deps.clock.now())


async def generate(call: Call) -> Answer:
    """POST /v1/plans/generate"""

    async def work(tx: Transaction) -> Answer:
        plan, is_new = await operations.generate(tx, _here(call), force=call.body.force_recompute)
        return success(plan, 201 if is_new else 200)

    return await write(call, work)


async def show(call: Call) -> Answer:
    """GET /v1/plans/current"""
    return success(await operations.show(call.deps.postgres, _here(call)))
