"""The choice of a rollback's target, over all histories."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtsd.deploys.history import EVENTS, Verdict, stories
from gtsd.deploys.rollback import Choice, PassedOver, choose, needs_old_shape, not_shipped
from gtsd.migrate.ledger import Entry
from tests.unit.deploys.test_history import ledger

VERSIONS = ("1.1.0", "1.2.0", "1.3.0", "1.4.0")
ONE = st.sampled_from(VERSIONS)
SOME = st.sets(ONE)
HAPPENED = st.lists(st.tuples(st.sampled_from(list(EVENTS)), ONE), max_size=12)


def fit(_: str) -> str | None:
    return None


@given(HAPPENED, ONE, SOME, SOME, st.none() | ONE)
def test_the_target_is_good_there_fit_and_another_one(
    events: list[tuple[str, str]],
    current: str,
    available: set[str],
    unfit: set[str],
    named: str | None,
) -> None:
    """And none is chosen only where none would do; all that were looked at have a reason."""
    known = stories(ledger(*events))
    asked: list[str] = []

    def judge(version: str) -> str | None:
        asked.append(version)
        return "the schema" if version in unfit else None

    choice = choose(current, available, known, judge, named)
    good = {v for v, story in known.items() if story.verdict is Verdict.GOOD}
    would_do = (good & available) - unfit - {current}
    began = known[current].first_served if current in known else None
    if named is not None:
        would_do &= {named}
    elif began is not None:
        would_do = {v for v in would_do if (known[v].first_served or 0) < began}
    if would_do:
        assert choice.target == max(would_do, key=lambda v: known[v].last_served or 0)
    else:
        assert choice.target is None
    assert all(why for _, why in choice.passed_over)
    assert choice.target not in [version for version, _ in choice.passed_over]
    assert set(asked) <= good & available


def chosen(*events: tuple[str, str], current: str) -> str | None:
    return choose(current, VERSIONS, stories(ledger(*events)), fit).target


@pytest.mark.parametrize(
    ("events", "current", "target"),
    [
        ("s1 s2 s3", "1.3.0", "1.2.0"),
        # After a rollback one goes further back, not forward again.
        ("s1 s2 s3 r2", "1.2.0", "1.1.0"),
        # What served last before it, not what was released last.
        ("s1 s2 s3 r2 s4", "1.4.0", "1.2.0"),
        # It did not come to serve: what served until then.
        ("s1 s2 b3", "1.3.0", "1.2.0"),
        # Released before the ledger was there.
        ("s1", "1.3.0", "1.1.0"),
        ("s1 s2 m2 s3", "1.3.0", "1.1.0"),
        ("s1", "1.1.0", None),
        ("", "1.1.0", None),
    ],
)
def test_examples_of_targets(events: str, current: str, target: str | None) -> None:
    """s: succeeded, r: rolled back to, b: started, m: marked bad."""
    names = {"s": "succeeded", "r": "rolled_back", "b": "started", "m": "marked_bad"}
    steps = [(names[each[0]], f"1.{each[1]}.0") for each in events.split()]
    assert chosen(*steps, current=current) == target


def test_a_named_release_may_be_newer_but_not_the_one_that_runs() -> None:
    """Forward again after a rollback, where somebody wants that."""
    known = stories(
        ledger(("succeeded", "1.1.0"), ("succeeded", "1.2.0"), ("rolled_back", "1.1.0"))
    )
    assert choose("1.1.0", VERSIONS, known, fit, "1.2.0") == Choice("1.2.0", [])
    same = choose("1.1.0", VERSIONS, known, fit, "1.1.0")
    assert same == Choice(None, [PassedOver("1.1.0", "it is the release that runs")])
    began = choose("1.1.0", VERSIONS, stories(ledger(("started", "1.3.0"))), fit, "1.3.0")
    assert began.passed_over[0].why == "it never served: the ledger has no success of it"


def entry(number: int, name: str, phase: str) -> Entry:
    at = datetime(2026, 11, 28, 12, 30, tzinfo=UTC)
    return Entry(number, name, phase, "0" * 64, at, "gtsd_owner@app1", 5, "1.3.0")


def test_a_release_lacks_the_contracts_that_it_does_not_ship() -> None:
    """What only adds is no hindrance for older code."""
    applied = [entry(1, "0001_a", "expand"), entry(2, "0002_b", "contract")]
    assert not_shipped(applied, {"0001_a"}) == [applied[1]]
    assert not_shipped(applied, {"0002_b"}) == []
    assert needs_old_shape(applied[1], "1.2.0") == (
        "it needs what 0002_b took away at 2026-11-28T12:30:00Z (applied by gtsd 1.3.0): its"
        " migrations/ does not have that file; the oldest that does is 1.2.0"
    )
    assert needs_old_shape(applied[1], None).endswith("; of the releases here none does")
