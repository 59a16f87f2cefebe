"""One load of a key at a time, shared by all who asked for it before it began.

Sharing a load that has begun already, as is usual, would give a request data from before a write
that was answered before the request was made. Whoever comes during a load therefore waits for its
end, and shares the next one with all others who came meanwhile: two loads in a row serve any crowd.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass

Load = Callable[[], Awaitable[bytes]]


@dataclass(slots=True, eq=False)
class _Flight:
    task: asyncio.Task[bytes]
    passengers: int = 0


class Flights:
    """Loads in progress and loads that are to follow them, by key."""

    def __init__(self) -> None:
        self._flying: dict[Hashable, _Flight] = {}
        self._boarding: dict[Hashable, _Flight] = {}

    async def share(self, key: Hashable, load: Load, following: Load) -> bytes:
        """The outcome of a load that begins after this call, our own or another caller's.

        ``following`` is for a load that had to wait for one before it, whose result it may use.
        An error goes to all who share the load. Whoever is cancelled leaves alone; the load is
        cancelled with the last of them.
        """
        flight = self._boarding.get(key) or self._book(key, load, following)
        flight.passengers += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.passengers -= 1
            if not flight.passengers and not flight.task.done():
                flight.task.cancel()
                _remove(self._boarding, key, flight)

    def _book(self, key: Hashable, load: Load, following: Load) -> _Flight:
        before = self._flying.get(key)
        if before is None:
            flight = self._flying[key] = _Flight(asyncio.create_task(_fly(load)))
        else:
            later = self._follow(before.task, key, following)
            flight = self._boarding[key] = _Flight(asyncio.create_task(later))
        # Not at the end of the coroutine: a task that is cancelled early never enters it.
        flight.task.add_done_callback(lambda task: self._land(key, flight, task))
        return flight

    async def _follow(self, before: asyncio.Task[bytes], key: Hashable, load: Load) -> bytes:
        await asyncio.wait([before])
        self._flying[key] = self._boarding.pop(key)
        return await load()

    def _land(self, key: Hashable, flight: _Flight, task: asyncio.Task[bytes]) -> None:
        _remove(self._flying, key, flight)
        if not task.cancelled():
            task.exception()  # looked at, so that nobody is warned when all have left


async def _fly(load: Load) -> bytes:
    return await load()


def _remove(flights: dict[Hashable, _Flight], key: Hashable, flight: _Flight) -> None:
    if flights.get(key) is flight:
        del flights[key]
