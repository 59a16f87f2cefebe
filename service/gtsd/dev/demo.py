"""The person that a developer meets at the first start."""

from __future__ import annotations

from typing import NamedTuple

from gtsd.clock import Clock
from gtsd.stores.postgres import Postgres


class DemoPerson(NamedTuple):
    """Who can sign in, and a task due today that is still to do."""

    email: str
    password: str
    task_id: int


async def fill(postgres: Postgres, clock: Clock) -> DemoPerson:
    """Two weeks of tasks and a live streak; called at every start, it adds what is missing."""
    raise NotImplementedError
