"""The Loki of the tests refuses what Loki refuses, or the fleet's tests would prove little."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.loki import BEHIND_S, FUTURE_S, MAX_LINE, OLDEST_S, Refused, Store

NOW = 1_800_000_000.0
NS = int(NOW) * 10**9
LABELS = {"job": "gtsd", "host": "a"}


@pytest.fixture
def kept() -> list[dict[str, Any]]:
    """What was kept."""
    return []


@pytest.fixture
def store(kept: list[dict[str, Any]]) -> Store:
    """As it is after a start."""
    return Store(kept.append)


def body(*entries: tuple[Any, Any], labels: Any = LABELS) -> bytes:
    """A push of one stream."""
    return json.dumps(
        {"streams": [{"stream": labels, "values": list(map(list, entries))}]}
    ).encode()


def test_what_is_well_formed_is_kept_in_its_order(store: Store, kept: list[dict[str, Any]]) -> None:
    """Text of any kind; an older line of the last hour, too."""
    store.push(body((str(NS), 'é "\\ 😀'), (str(NS - 10**9), "older")), NOW)
    assert [entry["line"] for entry in kept] == ['é "\\ 😀', "older"]
    store.push(body((str(NS), 'é "\\ 😀')), NOW)
    assert [entry["again"] for entry in kept] == [False, False, True]


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"streams": {}}',
        b'{"streams": [{"stream": {"a": "b"}}]}',
        body((NS, "a number")),
        body((str(NS), 5)),
        body((str(NS) + ".0", "x")),
        body((str(NS), "x"), labels={}),
        body((str(NS), "x"), labels={"a-b": "x"}),
        body((str(NS), "x"), labels={"a": 1}),
        body((str(NS), "x"), labels={f"l{n}": "x" for n in range(16)}),
        body((str(NS), "x"), labels={"a": "x" * 2049}),
        b'{"streams": [{"stream": {"a": "b"}, "values": [["1", "x", {}, 1]]}]}',
    ],
)
def test_what_is_malformed_is_refused_whole(
    store: Store, kept: list[dict[str, Any]], bad: bytes
) -> None:
    """With 400, and nothing of it is kept."""
    with pytest.raises(Refused) as refused:
        store.push(bad, NOW)
    assert refused.value.status == 400
    assert kept == []


@pytest.mark.parametrize(
    ("at", "line", "why"),
    [
        (NS - (OLDEST_S + 1) * 10**9, "x", "greater_than_max_sample_age"),
        (NS + (FUTURE_S + 1) * 10**9, "x", "too_far_in_future"),
        (NS - (BEHIND_S + 1) * 10**9, "x", "too_far_behind"),
        (NS, "x" * (MAX_LINE + 1), "line too long"),
    ],
)
def test_a_bad_line_is_refused_and_its_neighbours_are_kept(
    store: Store, kept: list[dict[str, Any]], at: int, line: str, why: str
) -> None:
    """As Loki does: 400 for the push, whose other lines are there."""
    with pytest.raises(Refused, match=why):
        store.push(body((str(NS), "good"), (str(at), line), (str(NS), "good, too")), NOW)
    assert [entry["line"] for entry in kept if "refused" not in entry] == ["good", "good, too"]


def test_out_of_order_is_refused_where_loki_is_told_to(kept: list[dict[str, Any]]) -> None:
    """`unordered_writes: false`, the behaviour of old."""
    store = Store(kept.append, ordered=True)
    with pytest.raises(Refused, match="out_of_order"):
        store.push(body((str(NS), "x"), (str(NS - 1), "y")), NOW)


def test_more_than_the_rate_is_refused_for_now(store: Store) -> None:
    """With 429, which is to be tried again; a second later there is room."""
    push = body(*((str(NS + n), "x" * 200_000) for n in range(20)))
    store.push(push, NOW)
    with pytest.raises(Refused) as refused:
        store.push(push, NOW)
    assert refused.value.status == 429
    store.push(push, NOW + 2)
