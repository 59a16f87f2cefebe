"""The client itself: a request every so often, whatever became of those before.

The rate is kept without regard to the answers, and a duration counts from when its request was due:
a server that stalls is seen as slow by everybody who would have come meanwhile, and not only by the
one that happened to wait (Gil Tene calls the mistake coordinated omission).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from probe.errors import Failure, ProbeError
from probe.exchange import Ask, Exchange, Reply, Trip
from probe.figures import Figures
from probe.flight import Flights
from probe.folder import Folder, Working
from probe.mix import Mix, Planned
from probe.people import RENEWALS_EVERY_S, People, Person, read_people
from probe.wire import Protocol, Target

_LONG_READ_EVERY_S: Final = 8.0


@dataclass(frozen=True)
class Options:
    """How a run goes. ``rate`` is a second's requests, ``writes`` a share, ``slow`` the seconds of
    the requests that take their time (0: there are none); None has no bound.
    """

    to: Target
    folder: Path
    rate: float
    writes: float
    accounts: int
    accounts_file: Path | None
    mail_domain: str
    seconds: float | None
    requests: int | None
    longest: float
    slow: float


class Run:
    """One run, from the first account to the last word."""

    def __init__(self, options: Options, working: Working) -> None:
        self._options = options
        self._working = working
        self._exchange = Exchange(options.to)
        self._people = People(self._exchange, self._say)
        self._figures = Figures()
        # A gate must not look at what was said up to a second ago while requests fail.
        self._flights = Flights(self._exchange, working, self._figures, self._tell)
        self._stopping = asyncio.Event()
        self._flying: set[asyncio.Task[None]] = set()
        self._phase = "preparing"
        self._doing = "calling for the first time"
        self._began = time.time()
        self._clock = time.monotonic()
        self._late_s = 0.0
        self._left: list[str] = []
        self._fault: BaseException | None = None

    def _say(self, doing: str) -> None:
        self._doing = doing
        self._tell()

    def _tell(self) -> None:
        now = time.monotonic()
        self._working.tell(
            {
                "phase": self._phase,
                "doing": self._doing,
                "started": round(self._began, 3),
                "seconds": round(now - self._clock, 1),
                "rate": self._options.rate,
                "in_flight": len(self._flying),
                "accounts": len(self._people.all),
                "accounts_left": self._left,
                # How late the client itself was: a busy controller is no slow API.
                "late": round(self._late_s, 3),
                **self._figures.told(now),
            }
        )

    async def run(self) -> list[str]:
        """Until it is told to stop or has done what was wanted; returns accounts that are left.

        Raises ProbeError where the API cannot be called at all.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        telling = asyncio.create_task(self._tell_each_second())
        try:
            protocols = await self._until_stopped(self._prepare())
            if protocols is not None:
                await self._measure(protocols)
        finally:
            await self._end(telling)
        return self._left

    async def _until_stopped(self, work: Any) -> Any:
        """Its result, or None where the run was stopped before."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if task.done():
            return await task
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return None

    async def _prepare(self) -> list[Protocol]:
        """Which protocols there are, once accounts are ready for requests."""
        options = self._options
        name = f"{options.to.scheme}://{options.to.authority}"
        first, trip = Ask("GET", "/health", protocol=Protocol.HTTP2), Trip(Protocol.HTTP2)
        try:
            reply: Reply = await self._exchange.send(first, trip)
            Planned("first", "/health", first, 200, _has_status).judge(reply)
        except Failure as failure:
            raise ProbeError(
                f"{name} does not answer as the API does, {failure.reason}: {failure.text}. "
                "Look at --url, --ca and --address, and whether the API is well."
            ) from failure
        given = read_people(options.accounts_file) if options.accounts_file else []
        try:
            await self._people.open(options.accounts, options.mail_domain, given)
            if options.slow:
                await self._people.fill()
        except Failure as failure:
            raise ProbeError(
                f"{name} has no accounts for this client, {failure.reason}: {failure.text}"
            ) from failure
        return list(Protocol) if trip.protocol is Protocol.HTTP2 else [Protocol.HTTP11]

    async def _measure(self, protocols: list[Protocol]) -> None:
        self._phase, self._doing = "running", "calling"
        options = self._options
        mix = Mix(self._people.all, options.writes, protocols, options.slow)
        beside = [asyncio.create_task(self._renew_tokens())]
        if options.slow:
            beside += [
                asyncio.create_task(self._repeat(mix.slow_upload, 0.0)),
                asyncio.create_task(self._repeat(mix.long_read, _LONG_READ_EVERY_S)),
            ]
        for task in beside:
            task.add_done_callback(self._landed)
        try:
            await self._pace(mix)
            self._phase, self._doing = "stopping", "waiting for the last answers"
            self._stopping.set()
            await asyncio.gather(*beside, *self._flying)
        finally:
            for task in [*beside, *self._flying]:
                task.cancel()
            await asyncio.gather(*beside, *self._flying, return_exceptions=True)

    async def _pace(self, mix: Mix) -> None:
        """Begin each request when it is due; raises what a request raised that is no Failure."""
        for due in self._dues():
            if (wait := due - time.monotonic()) > 0:
                await self._pause(wait)
            if self._stopping.is_set():
                break
            self._late_s = max(self._late_s, time.monotonic() - due)
            planned = mix.next()
            flight = asyncio.create_task(self._flights.fly(planned, due))
            self._flying.add(flight)
            flight.add_done_callback(self._landed)
            # Where several are due at once, answers are read in between.
            await asyncio.sleep(0)

    def _dues(self) -> Iterator[float]:
        options, start = self._options, time.monotonic()
        longest = min(options.longest, options.seconds or options.longest)
        number = 0
        while number < (options.requests or number + 1) and number / options.rate < longest:
            yield start + number / options.rate
            number += 1

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flying.discard(flight)
        if not flight.cancelled() and (error := flight.exception()) is not None:
            self._fault = error
            self._stopping.set()

    async def _repeat(self, plan: Callable[[], Planned], every_s: float) -> None:
        """One at a time, the next when the last has ended and the time has come."""
        while not self._stopping.is_set():
            began = time.monotonic()
            await self._flights.fly(plan(), began)
            await self._pause(began + max(every_s, 0.5) - time.monotonic())

    async def _renew_tokens(self) -> None:
        while not self._stopping.is_set():
            if person := self._people.to_renew():
                await self._renew(person)
            await self._pause(RENEWALS_EVERY_S)

    async def _renew(self, person: Person) -> None:
        ask = Ask("POST", "/auth/refresh", {"refreshToken": person.refresh_token})
        planned = Planned(
            "renewal", "/auth/refresh", ask, 200, lambda body: person.signed_in(body["data"])
        )
        await self._flights.fly(planned, time.monotonic())

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), max(seconds, 0.0))

    async def _tell_each_second(self) -> None:
        while True:
            self._tell()
            await asyncio.sleep(1.0)

    async def _end(self, telling: asyncio.Task[None]) -> None:
        # All requests have ended and are counted.
        self._phase = "leaving"
        self._say("deleting accounts")
        self._left = await self._people.delete()
        await self._exchange.links.close()
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        self._phase = "ended"
        self._say("done")
        if self._fault is not None:
            raise self._fault


def _has_status(body: Any) -> None:
    body["status"]


def run(options: Options) -> list[str]:
    """See ``Run.run``."""
    working = Working(Folder(options.folder))
    try:
        return asyncio.run(Run(options, working).run())
    finally:
        working.close()
