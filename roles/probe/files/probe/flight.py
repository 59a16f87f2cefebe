"""One request that is measured, and its line in the history."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from probe.errors import Failure, Reason
from probe.exchange import PATIENCE_S, Exchange, Trip
from probe.figures import Figures
from probe.folder import Working
from probe.mix import Planned

# An edge takes 400 at a time from one address. While so many are without an answer, the others
# wait here and their time runs: a stall makes requests late, and not refused.
_MOST_IN_FLIGHT: Final = 300


class Flights:
    """Sends what was planned, and counts what became of it.

    ``on_failure`` is called after each request that failed and is counted.
    """

    def __init__(
        self,
        exchange: Exchange,
        working: Working,
        figures: Figures,
        on_failure: Callable[[], None],
    ) -> None:
        self._exchange = exchange
        self._working = working
        self._figures = figures
        self._on_failure = on_failure
        self._room = asyncio.Semaphore(_MOST_IN_FLIGHT)

    async def fly(self, planned: Planned, due: float) -> None:
        """One request; what becomes of it goes into the history."""
        trip, reply, failure, started = Trip(planned.ask.protocol), None, None, due
        try:
            async with asyncio.timeout_at(due + PATIENCE_S):
                await self._room.acquire()
        except TimeoutError:
            failure = Failure(Reason.NOT_SENT, f"{_MOST_IN_FLIGHT} others are without an answer")
        else:
            started = time.monotonic()
            try:
                reply = await self._exchange.send(planned.ask, trip, due + PATIENCE_S - started)
                planned.judge(reply)
            except Failure as found:
                failure = found
            finally:
                self._room.release()
        self._count(planned, due, started, trip, reply.status if reply else None, failure)

    def _count(
        self,
        planned: Planned,
        due: float,
        started: float,
        trip: Trip,
        status: int | None,
        failure: Failure | None,
    ) -> None:
        now = time.monotonic()
        epoch = time.time() - now
        row = {
            "scheduled": round(epoch + due, 4),
            "started": round(epoch + started, 4),
            "seconds": round(now - due, 5),
            "kind": planned.kind,
            "slow": planned.slow,
            "protocol": trip.protocol,
            "connection": "kept" if trip.kept else "fresh",
            "method": planned.ask.method,
            "route": planned.route,
            "status": status,
            "address": trip.address,
            "write": planned.write,
            "reason": failure.reason if failure else None,
            "failure": failure.text if failure else None,
        }
        self._working.keep(row)
        self._figures.add(row, now)
        if failure is not None:
            self._on_failure()
