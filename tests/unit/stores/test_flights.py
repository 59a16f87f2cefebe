"""Loads that are shared: by whom, and what becomes of them when their callers leave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable

import pytest

from gtsd.stores.flights import Flights

Load = Callable[[], Awaitable[bytes]]


class Source:
    """Something slow to load; each load returns what was there when it began."""

    def __init__(self) -> None:
        self.value = 0
        self.begun = 0
        self.ended = 0
        self.gate = asyncio.Event()

    async def load(self) -> bytes:
        self.begun += 1
        value = self.value
        await self.gate.wait()
        self.ended += 1
        return str(value).encode()


class UsualFlights(Flights):
    """The control: whoever comes shares the load that is under way."""

    async def share(self, key: Hashable, load: Load, following: Load) -> bytes:
        flight = self._flying.get(key) or self._book(key, load, following)
        flight.passengers += 1
        return await asyncio.shield(flight.task)


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


def share(flights: Flights, source: Source, key: Hashable = 1) -> asyncio.Task[bytes]:
    return asyncio.create_task(flights.share(key, source.load, source.load))


async def read_after_write(flights: Flights) -> bytes:
    """A read that begins after a write was answered, while a load from before is under way."""
    source = Source()
    before = share(flights, source)
    await settle()
    source.value = 1
    after = share(flights, source)
    await settle()
    source.gate.set()
    assert await before == b"0"
    return await after


async def test_a_load_is_never_shared_by_who_came_after_it_began() -> None:
    """It may hold what was true before the newcomer's own write."""
    assert await read_after_write(Flights()) == b"1"


async def test_sharing_the_load_under_way_would_give_old_data() -> None:
    """The control: the usual way of sharing fails the test above."""
    assert await read_after_write(UsualFlights()) == b"0"


async def test_two_loads_serve_any_crowd() -> None:
    """One that was under way, and one for all who came meanwhile."""
    flights, source = Flights(), Source()
    crowd = [share(flights, source)]
    await settle()
    crowd += [share(flights, source) for _ in range(50)]
    await settle()
    assert source.begun == 1
    source.gate.set()
    assert await asyncio.gather(*crowd) == [b"0"] * 51
    assert source.ended == 2


async def test_other_keys_are_loaded_at_the_same_time() -> None:
    """Users do not wait for each other."""
    flights, source = Flights(), Source()
    loads = [share(flights, source, key) for key in range(5)]
    await settle()
    assert source.begun == 5
    source.gate.set()
    await asyncio.gather(*loads)


@pytest.mark.parametrize("leaving", [0, 1, 2])
async def test_who_is_cancelled_leaves_alone(leaving: int) -> None:
    """Whether it began the load, is to begin the next one, or only shares that."""
    flights, source = Flights(), Source()
    crowd = []
    for _ in range(4):
        crowd.append(share(flights, source))
        await settle()
    crowd.pop(leaving).cancel()
    await settle()
    source.gate.set()
    assert await asyncio.gather(*crowd) == [b"0"] * 3


async def test_the_load_is_cancelled_with_the_last_who_waits_for_it() -> None:
    """Nobody is there to use it; the next caller begins anew."""
    flights, source = Flights(), Source()
    crowd = [share(flights, source) for _ in range(2)]
    await settle()
    for task in crowd:
        task.cancel()
    await settle()
    source.gate.set()
    assert source.ended == 0
    assert await share(flights, source) == b"0"
    assert not flights._flying
    assert not flights._boarding


async def test_a_load_that_is_cancelled_before_it_ran_blocks_nobody() -> None:
    """A task that is cancelled at once never enters its coroutine, so cannot tidy up in it."""
    flights, source = Flights(), Source()
    source.gate.set()
    task = share(flights, source)
    await asyncio.sleep(0)
    task.cancel()
    assert await share(flights, source) == b"0"
    await settle()
    assert not flights._flying


async def test_a_next_load_that_everybody_left_is_not_made() -> None:
    """And whoever comes then gets one of its own."""
    flights, source = Flights(), Source()
    first = share(flights, source)
    await settle()
    second = share(flights, source)
    await settle()
    second.cancel()
    await settle()
    third = share(flights, source)
    await settle()
    source.gate.set()
    assert await first == await third == b"0"
    assert source.begun == 2


async def test_an_error_goes_to_all_who_share_the_load_and_is_not_kept() -> None:
    """The next one tries again."""
    flights, source = Flights(), Source()

    async def fail() -> bytes:
        await source.gate.wait()
        raise LookupError

    crowd = [asyncio.create_task(flights.share(1, fail, fail)) for _ in range(3)]
    await settle()
    source.gate.set()
    outcomes = await asyncio.gather(*crowd, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [LookupError] * 3
    assert await share(flights, source) == b"0"


async def test_an_error_that_nobody_waits_for_is_not_reported(
    recwarn: pytest.WarningsRecorder,
) -> None:
    """The callers have left; the load fails while it is being cancelled."""
    reports: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))
    flights = Flights()

    async def fail() -> bytes:
        try:
            await asyncio.sleep(60)
        finally:
            raise LookupError

    task = asyncio.create_task(flights.share(1, fail, fail))
    await settle()
    task.cancel()
    await settle()
    del task
    assert reports == []
