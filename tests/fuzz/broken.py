"""``gtsd serve`` with a mistake in each of five operations: the control of the fuzzer.

The document is that of the sound service.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from typing import Any

from gtsd import app, lifecycle
from gtsd.accounts import handlers as accounts
from gtsd.errors import BadRequest
from gtsd.settings import read
from gtsd.systemd import Supervisor
from gtsd.tasks import handlers as tasks
from gtsd.web.answers import Answer, refusal, success
from gtsd.web.call import Call


async def lacks_fields(call: Call) -> Answer:
    """GET /v1/streaks/me"""
    del call
    return success(b'{"current":1}')


async def crashes_sometimes(call: Call) -> Answer:
    """POST /v1/tasks"""
    if call.body.due_time is not None:
        raise ZeroDivisionError
    return await tasks.add(call)


async def knows_another_status(call: Call) -> Answer:
    """GET /auth/sessions"""
    del call
    return success(b'{"sessions":[]}', 206)


async def looks_at_nothing(call: Call) -> Answer:
    """PATCH /auth/me"""
    return await accounts.show(call)


async def names_another_request(call: Call) -> Answer:
    """POST /v1/streaks/check-compliance"""
    del call
    return refusal(BadRequest(), "another")


MISTAKES: dict[str, dict[str, Any]] = {
    "GET /v1/streaks/me": {"handler": lacks_fields},
    "POST /v1/tasks": {"handler": crashes_sometimes},
    "GET /auth/sessions": {"handler": knows_another_status},
    "PATCH /auth/me": {"handler": looks_at_nothing, "body": None},
    "POST /v1/streaks/check-compliance": {"handler": names_another_request},
}


def main() -> int:
    """As ``gtsd serve``."""
    sound = app.table()
    for mistake in MISTAKES.values():
        mistake["handler"].__module__ = "gtsd.broken.handlers"
    routes = tuple(
        replace(route, **MISTAKES.get(f"{route.method} {route.template}", {}))
        for route in sound.routes
    )
    # By vars, because a type checker rightly wants a module to stay what it is.
    vars(app).update(table=lambda: sound, _ROUTES=routes)
    return asyncio.run(lifecycle.serve(read(os.environ), Supervisor()))


if __name__ == "__main__":
    sys.exit(main())
