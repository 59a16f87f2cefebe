"""What a limit lets through, worked out over all kinds of traffic."""

from __future__ import annotations

from bisect import bisect_left

from hypothesis import example, given
from hypothesis import strategies as st

from gtsd.stores.limits import Limit, Usage, judge

SECONDS = 10
LENGTH = SECONDS * 1000

amounts = st.integers(1, 20)
# Gaps between uses in ms: bursts, a steady stream, and pauses longer than two windows.
traffic = st.lists(
    st.one_of(st.just(0), st.integers(0, 50), st.integers(0, 3 * LENGTH)), min_size=1, max_size=120
)


class Window:
    """Counts as the store does, for one subject and without a server."""

    def __init__(self, amount: int) -> None:
        self.limit = Limit("x", amount, SECONDS)
        self.counts: dict[int, int] = {}
        self.allowed: list[int] = []

    def judge(self, now: int, cost: int = 1) -> Usage:
        window, elapsed = divmod(now, LENGTH)
        previous, current = self.counts.get(window - 1, 0), self.counts.get(window, 0)
        return judge(self.limit, previous, current, elapsed, cost)

    def hit(self, now: int, cost: int = 1) -> Usage:
        usage = self.judge(now, cost)
        if usage.allowed:
            self.counts[now // LENGTH] = self.counts.get(now // LENGTH, 0) + cost
            self.allowed.append(now)
        return usage


def run(amount: int, gaps: list[int]) -> tuple[Window, int]:
    window, now = Window(amount), 0
    for gap in gaps:
        now += gap
        window.hit(now)
    return window, now


def most_in(times: list[int], length: int) -> int:
    """The largest number of these in any stretch of that length."""
    return max((i - bisect_left(times, t - length + 1) + 1 for i, t in enumerate(times)), default=0)


@given(amounts, traffic)
@example(20, [0] * 20 + [LENGTH - 1] + [0] * 20)
def test_a_window_of_the_grid_never_holds_more_than_the_amount(
    amount: int, gaps: list[int]
) -> None:
    """Whatever the traffic."""
    window, _ = run(amount, gaps)
    assert max(window.counts.values()) <= amount


@given(amounts, traffic)
@example(20, [LENGTH - 1] + [0] * 19 + [500] * 40)
def test_no_stretch_of_time_holds_twice_the_amount(amount: int, gaps: list[int]) -> None:
    """The bound that the module promises for whoever times his bursts."""
    window, _ = run(amount, gaps)
    assert most_in(window.allowed, LENGTH) <= 2 * amount


@given(amounts, traffic, traffic)
def test_what_a_burst_leaves_is_given_out_evenly(
    amount: int, gaps: list[int], more: list[int]
) -> None:
    """After a full window, half of the next one gives out half of the amount, rounded up."""
    window = Window(amount)
    for _ in range(amount):
        assert window.hit(LENGTH - 1).allowed
    assert not window.hit(LENGTH - 1).allowed
    now = LENGTH
    for gap in gaps + more:
        now += gap
        window.hit(now)
        given_out = len([t for t in window.allowed if LENGTH <= t < 2 * LENGTH])
        passed = min(now + 1, 2 * LENGTH) - LENGTH
        assert given_out <= -(-amount * passed // LENGTH)


@given(amounts, st.integers(1, 5))
def test_steady_traffic_gets_exactly_what_it_may_have(amount: int, faster: int) -> None:
    """At the rate of the limit nothing is refused; at a multiple of it, the rate is let through."""
    window = Window(amount)
    rate = amount * faster
    times = [-(-n * LENGTH // rate) for n in range(12 * rate)]
    for now in times:
        window.hit(now)
    if faster == 1:
        assert len(window.allowed) == len(times)
    else:
        # The first window starts from nothing, so it lets its amount through at once.
        assert 11 * amount <= len(window.allowed) <= 12 * amount


@given(amounts, traffic, st.integers(1, 25))
def test_after_waiting_as_told_the_use_is_allowed(amount: int, gaps: list[int], cost: int) -> None:
    """And a whole second earlier it is not, so nobody is sent away for longer than he must."""
    window, now = run(amount, gaps)
    usage = window.judge(now, cost)
    if usage.allowed:
        assert usage.retry_after_s == 0
        return
    assert usage.retry_after_s >= 1
    if cost <= amount:
        assert window.judge(now + usage.retry_after_s * 1000, cost).allowed
        assert not window.judge(now + (usage.retry_after_s - 1) * 1000, cost).allowed


@given(amounts, traffic)
def test_what_remains_can_be_used_and_no_more(amount: int, gaps: list[int]) -> None:
    """The number in the header is true."""
    window, now = run(amount, gaps)
    remaining = window.judge(now, cost=0).remaining
    assert [window.hit(now).allowed for _ in range(remaining + 1)] == [True] * remaining + [False]


@given(amounts, traffic)
def test_all_is_there_again_at_the_reset(amount: int, gaps: list[int]) -> None:
    """Provided that nothing is used until then."""
    window, now = run(amount, gaps)
    reset = window.judge(now, cost=0).reset_s
    assert 0 <= reset <= 2 * SECONDS
    assert window.judge(now + reset * 1000, cost=0).remaining == amount


@given(amounts, traffic)
def test_refused_uses_do_not_prolong_the_wait(amount: int, gaps: list[int]) -> None:
    """Hammering changes nothing for the one who does it."""
    window, now = run(amount, gaps)
    until = window.judge(now).retry_after_s * 1000
    for tick in range(0, max(until - 1000, 0), 100):
        window.hit(now + tick)
    assert window.judge(now + until).allowed


def test_a_counter_below_zero_counts_as_nothing() -> None:
    """What is given back may belong to the window before."""
    usage = judge(Limit("x", 3, SECONDS), -2, -1, 0, 1)
    assert (usage.allowed, usage.remaining) == (True, 2)
