"""Limits of one process by itself: without a Redis, and with little memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gtsd.clock import Clock, FixedClock
from gtsd.stores.limit_counters import LocalCounters, Place
from gtsd.stores.limits import Limit, Limits, address_subject
from gtsd.telemetry.metrics import Metrics
from tests.support.redis import opened

LOGIN = Limit("login", 3, 60)
OTHER = Limit("other", 10, 60)
# The first moment of a window.
START = datetime(2026, 1, 1, tzinfo=UTC)


class MovedClock(FixedClock):
    """Moves its monotonic time as well."""

    def monotonic(self) -> float:
        return self.now().timestamp()


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock(START)


async def limits_of(clock: Clock, metrics: Metrics | None = None) -> Limits:
    metrics = metrics or Metrics()
    async with opened(None) as redis:
        return Limits(redis, metrics, clock, b"pepper")


async def test_without_redis_a_process_limits_by_itself(clock: MovedClock) -> None:
    """With the same arithmetic, and each subject and limit for itself."""
    limits = await limits_of(clock)
    assert [(await limits.hit(LOGIN, "ann")).remaining for _ in range(3)] == [2, 1, 0]
    refused = await limits.hit(LOGIN, "ann")
    assert not refused.allowed
    assert refused.retry_after_s == 60
    assert (await limits.hit(LOGIN, "bob")).allowed
    assert (await limits.hit(OTHER, "ann")).allowed
    clock.move(timedelta(seconds=refused.retry_after_s))
    assert (await limits.hit(LOGIN, "ann")).allowed


async def test_if_one_of_several_limits_refuses_none_counts(clock: MovedClock) -> None:
    """Which one it was can be told, and is counted."""
    metrics = Metrics()
    limits = await limits_of(clock, metrics)
    for _ in range(3):
        await limits.hit(LOGIN, "ann")
    usages = await limits.hit_all([(OTHER, "1.2.3.4"), (LOGIN, "ann")])
    assert [usage.allowed for usage in usages] == [True, False]
    assert (await limits.peek(OTHER, "1.2.3.4")).remaining == 9

    def limited(name: str) -> float | None:
        return metrics.registry.get_sample_value("gtsd_limited_requests_total", {"limit": name})

    assert (limited("login"), limited("other")) == (1, None)


async def test_looking_does_not_count(clock: MovedClock) -> None:
    """However often."""
    limits = await limits_of(clock)
    for _ in range(10):
        assert (await limits.peek(LOGIN, "ann")).allowed
        assert not await limits.is_exceeded(LOGIN, "ann")
    assert (await limits.hit(LOGIN, "ann")).remaining == 2


async def test_failures_can_be_counted_alone_and_be_forgotten(clock: MovedClock) -> None:
    """Adding is never refused; a success may wipe the slate."""
    limits = await limits_of(clock)
    assert [(await limits.add(LOGIN, "ann")).allowed for _ in range(4)] == [True] * 3 + [False]
    assert await limits.is_exceeded(LOGIN, "ann")
    await limits.reset(LOGIN, "ann")
    assert not await limits.is_exceeded(LOGIN, "ann")


async def test_what_is_given_back_can_be_used_again(clock: MovedClock) -> None:
    """A right password is no failure; it was only counted until it was known to be right."""
    limits = await limits_of(clock)
    uses = [(LOGIN, "ann"), (OTHER, "1.2.3.4")]
    for _ in range(10):
        assert all(usage.allowed for usage in await limits.hit_all(uses))
        await limits.give_back(uses)


async def test_a_use_may_cost_more_than_one(clock: MovedClock) -> None:
    """It is allowed as a whole or not at all."""
    limits = await limits_of(clock)
    assert (await limits.hit(LOGIN, "ann", cost=2)).remaining == 1
    assert not (await limits.hit(LOGIN, "ann", cost=2)).allowed
    assert (await limits.hit(LOGIN, "ann")).allowed
    assert not (await limits.hit(LOGIN, "bob", cost=4)).allowed


async def test_local_counters_are_bounded_and_keep_what_is_in_use(clock: MovedClock) -> None:
    """A flood of addresses must not cost the process its memory."""
    counters = LocalCounters(clock, size=100)
    busy = Place("p", "busy", 60)
    for number in range(1_000):
        await counters.add([busy, Place("p", str(number), 60)], 1)
    assert len(counters) == 100
    assert await counters.add([busy], 0) == [(0, 1_000)]
    assert await counters.add([Place("p", "0", 60)], 0) == [(0, 0)]


async def test_local_counters_that_have_expired_are_dropped(clock: MovedClock) -> None:
    """A few with each use, so that an outage leaves nothing behind."""
    counters = LocalCounters(clock)
    for number in range(100):
        await counters.add([Place("p", str(number), 60)], 1)
    clock.move(timedelta(seconds=126))
    for number in range(60):
        await counters.add([Place("p", f"new {number}", 60)], 1)
    assert len(counters) == 60


@pytest.mark.parametrize(
    ("address", "subject"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
    ],
)
def test_an_address_stands_for_what_one_client_can_have(address: str, subject: str) -> None:
    """One IPv4 address, or the whole network of an IPv6 address."""
    assert address_subject(address) == subject


def test_what_is_no_address_is_refused() -> None:
    """It would be a subject of its own for each client that makes one up."""
    with pytest.raises(ValueError, match="unknown"):
        address_subject("unknown")
