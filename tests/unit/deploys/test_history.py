"""What the ledger says of a release, over all sequences of events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gtsd.deploys.chain import Record, first_break, seal
from gtsd.deploys.history import EVENTS, Verdict, serving, stories

BEGAN = datetime(2026, 11, 28, 12, tzinfo=UTC)
VERSIONS = ("1.1.0", "1.2.0", "1.3.0")
HAPPENED = st.lists(st.tuples(st.sampled_from(list(EVENTS)), st.sampled_from(VERSIONS)), max_size=9)
GENESIS = "0" * 64


def ledger(*events: tuple[str, str], previous: str | None = None) -> list[Record]:
    """A chain of them, a minute apart."""
    made: list[Record] = []
    for number, (event, version) in enumerate(events, 1):
        before = made[-1].hash if made else GENESIS
        at = BEGAN + timedelta(minutes=number)
        record = Record(number, at, event, version, previous, "anna@laptop x", 1, {}, before, "")
        made.append(seal(record))
    return made


@given(HAPPENED)
def test_whatever_happens_bad_stays_bad_and_good_has_served(
    events: list[tuple[str, str]],
) -> None:
    """By the definitions, told in another way."""
    known = stories(ledger(*events))
    assert list(known) == list(dict.fromkeys(version for _, version in events))
    for version, story in known.items():
        own = [event for event, of in events if of == version]
        bad = {"reverted", "marked_bad"} & set(own)
        served = {"succeeded", "rolled_back"} & set(own)
        wanted = Verdict.BAD if bad else Verdict.GOOD if served else Verdict.UNKNOWN
        assert story.verdict is wanted
        assert (story.released_at is not None) == bool(served)
        assert story.last_event == own[-1]


@given(HAPPENED, HAPPENED)
def test_a_bad_release_is_bad_after_any_further_event(
    before: list[tuple[str, str]], after: list[tuple[str, str]]
) -> None:
    """Its story tells the first reason for ever."""
    events = ledger(*before, ("marked_bad", "1.2.0"), *after)
    then = stories(events[: len(before) + 1])["1.2.0"]
    now = stories(events)["1.2.0"]
    assert now.verdict is Verdict.BAD
    assert (now.bad_since, now.why_bad) == (then.bad_since, then.why_bad)


def test_what_serves_is_what_succeeded_or_was_gone_back_to() -> None:
    """A release that only began, failed or was marked does not change it."""
    assert serving([]) is None
    assert serving(ledger(("started", "1.1.0"))) is None
    steps = ledger(("succeeded", "1.1.0"), ("started", "1.2.0"), ("failed", "1.2.0"))
    assert serving(steps) == "1.1.0"
    assert (
        serving(ledger(("succeeded", "1.2.0"), ("reverted", "1.2.0"), previous="1.1.0")) == "1.1.0"
    )
    assert serving(ledger(("succeeded", "1.2.0"), ("rolled_back", "1.1.0"))) == "1.1.0"


@given(HAPPENED.filter(bool), st.data())
def test_a_chain_is_whole_until_one_record_is_touched(
    events: list[tuple[str, str]], data: st.DataObject
) -> None:
    """Any one record taken out or changed breaks it, and at that place."""
    made = ledger(*events)
    assert first_break(made, len(made)) is None
    at = data.draw(st.integers(0, len(made) - 1))
    gone = [*made[:at], *made[at + 1 :]]
    assert (first_break(gone, len(made)) or "").startswith(f"record {at + 1} is missing")
    made[at] = made[at]._replace(holder="eve@ci x")
    assert (first_break(made, len(made)) or "").startswith(f"record {at + 1} was changed")


def test_a_record_that_was_never_given_a_number_is_found() -> None:
    """A whole chain that is longer than what was written by the command."""
    made = ledger(("started", "1.1.0"), ("succeeded", "1.1.0"))
    told = first_break(made, 1) or ""
    assert told.startswith("record 2 was added by other means")
