"""HTTP of photos: parse, call, answer."""

from __future__ import annotations

from gtsd.photos import operations
from gtsd.photos.operations import AlreadyConfirmed
from gtsd.stores.postgres import Transaction
from gtsd.tasks.operations import Person
from gtsd.web.answers import Answer, encode, success
from gtsd.web.call import Call
from gtsd.web.fields import DONE
from gtsd.web.idempotency import write


def _person(call: Call) -> Person:
    return Person(call.user.id, call.today, call.deps.clock.now())


async def presign(call: Call) -> Answer:
    """POST /v1/progress/photo/presign"""
    return success(encode(await operations.presign(call.deps, _person(call), call.body)))


async def confirm(call: Call) -> Answer:
    """POST /v1/progress/photo/confirm"""
    deps, given = call.deps, call.body
    try:
        async with operations.copied(deps, call.user.id, given) as copied:
            return await write(
                call, lambda tx: operations.confirm(deps, tx, _person(call), given, copied)
            )
    except AlreadyConfirmed as error:
        return success(await operations.confirmed(deps, call.user.id, error.photo_id), 200)


async def find(call: Call) -> Answer:
    """GET /v1/progress/photos"""
    return success(await operations.find(call.deps, call.user.id, call.query))


async def show(call: Call) -> Answer:
    """GET /v1/progress/photos/{id}"""
    return success(await operations.show(call.deps, call.user.id, call.params["id"]))


async def delete(call: Call) -> Answer:
    """DELETE /v1/progress/photos/{id}"""

    async def work(tx: Transaction) -> bytes:
        await operations.delete(call.deps, tx, call.user.id, call.params["id"])
        return DONE

    return await write(call, work)
