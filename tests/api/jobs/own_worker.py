"""A worker with jobs that write down what they do; run as a program with the usual settings."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from gtsd.jobs.types import Job, Queue
from gtsd.settings import read
from gtsd.stores.postgres import Query
from gtsd.worker import work

if TYPE_CHECKING:
    from gtsd.deps import Deps

SCHEMA = """
CREATE TABLE runs (mark text, at timestamptz DEFAULT now());
CREATE TABLE effects (mark text PRIMARY KEY);
CREATE TABLE gates (mark text PRIMARY KEY);
"""
_RUN = Query("own_run", "INSERT INTO runs (mark) VALUES (%(mark)s)")
_EFFECT = Query("own_effect", "INSERT INTO effects VALUES (%(mark)s) ON CONFLICT DO NOTHING")
_OPEN = Query("own_gate", "SELECT count(*) FROM gates WHERE mark = %(mark)s")


async def write(deps: Deps, *, mark: str) -> None:
    """Has its effect once, however often it runs."""
    await deps.postgres.execute(_RUN, mark=mark)
    await deps.postgres.execute(_EFFECT, mark=mark)


async def wait(deps: Deps, *, mark: str) -> None:
    """Takes until its gate is open."""
    await deps.postgres.execute(_RUN, mark=mark)
    await deps.postgres.execute(_EFFECT, mark=mark)
    while not await deps.postgres.value(_OPEN, mark=mark):
        await asyncio.sleep(0.05)


async def fail(deps: Deps, *, mark: str) -> None:
    """Always."""
    await deps.postgres.execute(_RUN, mark=mark)
    raise RuntimeError("it never works")


async def tick(deps: Deps) -> None:
    """Every second."""
    await deps.postgres.execute(_RUN, mark="tick")


JOBS = (
    Job("write", write, Queue.UPKEEP),
    Job("wait", wait, Queue.UPKEEP),
    Job("fail", fail, Queue.UPKEEP),
    Job("tick", tick, Queue.UPKEEP, "* * * * * *"),
)

if __name__ == "__main__":
    sys.exit(asyncio.run(work(read(os.environ), jobs=JOBS)))
