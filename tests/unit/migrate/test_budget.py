"""How long is waited, and how the tries are spread."""

from __future__ import annotations

from gtsd.migrate.budget import Budget


def test_pauses_are_drawn_from_zero_to_a_doubling_bound() -> None:
    """Full jitter, and no bound over two seconds however many tries there were."""
    asked: list[tuple[float, float]] = []
    slept: list[float] = []

    def draw(low: float, high: float) -> float:
        asked.append((low, high))
        return high / 2

    budget = Budget(100.0, sleep=slept.append, draw=draw)
    pauses = [budget.pause(tries, 0.25) for tries in range(8)]
    assert asked == [(0.0, min(2.0, 0.1 * 2**tries)) for tries in range(8)]
    assert pauses == slept == [high / 2 for _, high in asked]
    assert budget.left == 100.0 - 8 * 0.25 - sum(slept)


def test_the_budget_ends_within_what_was_given() -> None:
    """What a try wasted counts like a pause; the last pause is cut to what is left."""
    budget = Budget(1.0, sleep=lambda _: None, draw=lambda _, high: high)
    assert [budget.pause(tries, 0.25) for tries in range(3)] == [0.1, 0.2, None]
    budget = Budget(1.0, sleep=lambda _: None, draw=lambda _, high: high)
    pauses = [pause for tries in range(9) if (pause := budget.pause(tries, 0.0)) is not None]
    assert sum(pauses) == 1.0
    assert len(pauses) == 4


def test_pauses_differ_from_run_to_run() -> None:
    """Two runs that were blocked together do not try again together."""
    drawn = {Budget(9.0, sleep=lambda _: None).pause(5, 0.0) for _ in range(5)}
    assert len(drawn) == 5
