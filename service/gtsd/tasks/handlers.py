"""HTTP of tasks: parse, call, answer."""

from __future__ import annotations

from gtsd.stores.postgres import Transaction
from gtsd.tasks import operations
from gtsd.tasks.operations import Person
from gtsd.web.answers import Answer, success
from gtsd.web.call import Call
from gtsd.web.fields import DONE
from gtsd.web.idempotency import write, write_at_once


def _person(call: Call) -> Person:
    return Person(call.user.id, call.today, call.deps.clock.now())


async def today(call: Call) -> Answer:
    """GET /v1/tasks/today"""
    deps = call.deps
    return success(
        await operations.today(deps.postgres, deps.cache, _person(call), call.query, call.cached)
    )


async def find(call: Call) -> Answer:
    """GET /v1/tasks"""
    return success(await operations.find(call.deps.postgres, _person(call), call.query))


async def show(call: Call) -> Answer:
    """GET /v1/tasks/{id}"""
    return success(await operations.show(call.deps.postgres, call.user.id, call.params["id"]))


async def add(call: Call) -> Answer:
    """POST /v1/tasks"""
    return await write(call, lambda tx: operations.add(tx, _person(call), call.body))


async def change(call: Call) -> Answer:
    """PATCH /v1/tasks/{id}"""
    task_id = call.params["id"]
    return await write(call, lambda tx: operations.change(tx, _person(call), task_id, call.body))


async def delete(call: Call) -> Answer:
    """DELETE /v1/tasks/{id}"""

    async def work(tx: Transaction) -> bytes:
        await operations.delete(tx, _person(call), call.params["id"], call.query)
        return DONE

    return await write(call, work)


async def complete(call: Call) -> Answer:
    """POST /v1/tasks/{id}/complete"""
    task_id = call.params["id"]
    return await write(call, lambda tx: operations.complete(tx, _person(call), task_id))


async def uncomplete(call: Call) -> Answer:
    """POST /v1/tasks/{id}/uncomplete"""
    task_id = call.params["id"]
    return await write(call, lambda tx: operations.uncomplete(tx, _person(call), task_id))


async def skip(call: Call) -> Answer:
    """POST /v1/tasks/{id}/skip"""
    task_id = call.params["id"]
    return await write(call, lambda tx: operations.skip(tx, _person(call), task_id, call.body))


async def give_evidence(call: Call) -> Answer:
    """POST /v1/evidence"""
    return await write_at_once(
        call, lambda session: operations.give_evidence(session, _person(call), call.body)
    )


async def show_evidence(call: Call) -> Answer:
    """GET /v1/tasks/{id}/evidence"""
    return success(
        await operations.show_evidence(
            call.deps.postgres, call.user.id, call.params["id"], call.query
        )
    )
