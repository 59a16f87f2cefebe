"""Bodies and query strings of every kind: a value, or a refusal that names what is wrong."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from gtsd.accounts.types import AccountChange, RefreshToken, SignUp
from gtsd.errors import BadRequest
from gtsd.tasks.types import NewEvidence, NewTask, TaskChange, TaskQuery, TodayQuery
from gtsd.web.bodies import decode_body, decode_query
from gtsd.web.fields import Input, Nothing

BODIES: list[type[Any]] = [SignUp, AccountChange, RefreshToken, NewTask, TaskChange, NewEvidence]
DEPTH = 8
_NAMES = st.sampled_from(
    [
        "title",
        "dueDate",
        "dueTime",
        "repeat",
        "metadata",
        "taskId",
        "type",
        "data",
        "text",
        "metrics",
        "photoUrl",
        "email",
        "password",
        "name",
        "phone",
        "timezone",
        "smsOptIn",
        "x",
    ]
)
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(["text_log", "metrics", "daily", "2026-11-18", "06:15", "a@b.co", "UTC"])
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=5),
    max_leaves=12,
)


def _check(refusal: BadRequest) -> None:
    assert refusal.message.endswith(".")
    if refusal.code == "invalid_fields":
        assert refusal.fields
        assert all(path and problem for path, problem in refusal.fields.items())
    else:
        assert refusal.code in {"invalid_json", "invalid_query"}
        assert refusal.fields is None


def _refused(raw: bytes, shape: type[Any]) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        decode_body(raw, shape, DEPTH)
    _check(caught.value)
    return caught.value


@given(raw=st.binary(max_size=60), shape=st.sampled_from(BODIES))
def test_any_bytes_are_a_value_or_a_bad_request(raw: bytes, shape: type[Any]) -> None:
    """Whatever comes, nothing else is raised."""
    try:
        assert isinstance(decode_body(raw, shape, DEPTH), shape)
    except BadRequest as refusal:
        _check(refusal)


@given(value=_VALUES, shape=st.sampled_from(BODIES))
def test_any_json_is_a_value_or_a_bad_request_with_names(value: Any, shape: type[Any]) -> None:
    """A body that is JSON is refused by field."""
    try:
        assert isinstance(decode_body(json.dumps(value).encode(), shape, DEPTH), shape)
    except BadRequest as refusal:
        _check(refusal)


@given(
    pairs=st.lists(st.tuples(_NAMES, _SCALARS), max_size=5),
    shape=st.sampled_from([NewTask, NewEvidence]),
)
def test_names_given_twice_are_refused_by_name_or_the_last_one_counts(
    pairs: list[tuple[str, Any]], shape: type[Any]
) -> None:
    """The parser stops at the first wrong value, which the last one may hide."""
    members = ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in pairs)
    try:
        decode_body(f"{{{members}}}".encode(), shape, DEPTH)
    except BadRequest as refusal:
        _check(refusal)


@given(raw=st.text(max_size=60), shape=st.sampled_from([TaskQuery, TodayQuery, Nothing]))
def test_any_query_is_a_value_or_a_bad_request(raw: str, shape: type[Any]) -> None:
    """Whatever comes, nothing else is raised."""
    try:
        assert isinstance(decode_query(raw, shape), shape)
    except BadRequest as refusal:
        _check(refusal)


@given(depth=st.integers(1, 30), brackets=st.sampled_from([("[", "]"), ('{"a":', "}")]))
def test_nesting_is_counted_exactly(depth: int, brackets: tuple[str, str]) -> None:
    """One deeper than the limit is refused, the limit itself is not."""
    opening, closing = brackets
    # A bracket inside a text counts for nothing.
    raw = f'{opening * depth}"\\"[[[[[[{{{{{{{{"{closing * depth}'.encode()
    message = "" if depth <= DEPTH else f"The JSON is nested deeper than {DEPTH}."
    try:
        decode_body(raw, dict[str, Any] if opening != "[" else list[Any], DEPTH)
        assert not message
    except BadRequest as refusal:
        assert refusal.message == message


@pytest.mark.parametrize(
    ("raw", "field", "problem"),
    [
        (b'{"title": 1, "title": "x"}', "title", "must be text, got a whole number"),
        (b'{"title": "x", "metadata": {"a": 1e400}}', "metadata[...]", "number out of range"),
        (b'{"title": "x", "metadata": []}', "metadata", "must be object, got array"),
        (b'["x"]', "body", "must be object, got array"),
        (b'{"titel": "x"}', "titel", "is not known here"),
        (b'{"title": "x", "": 1}', '""', "is not known here"),
        (b"{}", "title", 'is required, for example "Read ten pages"'),
        (b'{"title": "x", "dueDate": "1999-12-31"}', "dueDate", "must be from 2000-01-01 to"),
    ],
)
def test_a_problem_is_told_where_it_is(raw: bytes, field: str, problem: str) -> None:
    """The field's path and what would be right."""
    fields = _refused(raw, NewTask).fields
    assert fields is not None
    assert fields[field].startswith(problem)


def test_every_problem_is_told_at_once() -> None:
    """Inner fields by their path, and no more than twenty in all."""
    raw = b'{"type": "metrics", "data": {"metrics": {"a": "b"}, "foto": 1}, "notes": 5}'
    fields = _refused(raw, NewEvidence).fields or {}
    assert set(fields) == {"taskId", "data.metrics[...]", "data.foto", "notes"}
    many = json.dumps({f"k{n}": n for n in range(50)}).encode()
    assert len(_refused(many, NewTask).fields or {}) == 20


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"NaN",
        b'{"title": NaN}',
        b'\xef\xbb\xbf{"title": "a byte order mark"}',
        '{"title": "x"}'.encode("utf-16"),
        b'{"title": "\xed\xa0\x80"}',
        b'{"title": "\\ud800"}',
        b'{"title": "a\\u0000b"}',
        b'{"title": "x", "metadata": {"a": ["\\u0000"]}}',
        b'{"title": "x", "metadata": {"\\u0000": 1}}',
        b'{"title": 1, "metadata": {',
        b'{"title": 1, "x": "\xff"}',
        b"\\u0000",
    ],
)
def test_what_is_no_json_or_no_text_is_refused_as_a_whole(raw: bytes) -> None:
    """No text can hold a NUL or half a character, in the database neither."""
    assert _refused(raw, NewTask).code == "invalid_json"


def test_an_escaped_backslash_before_u0000_is_text() -> None:
    """The control for NUL: the same six characters, written out."""
    assert decode_body(b'{"title": "\\\\u0000"}', NewTask, DEPTH).title == "\\u0000"


@pytest.mark.parametrize(
    "raw", ["a=1&a=2", "limit=1&lim%69t=1", "limit=%ff", "limit=%00", "\0", "&".join(["a=1"] * 21)]
)
def test_a_query_that_cannot_be_read_is_refused_as_a_whole(raw: str) -> None:
    """Twice the same name, no UTF-8, NUL, too many."""
    with pytest.raises(BadRequest) as caught:
        decode_query(raw, TaskQuery)
    assert caught.value.code == "invalid_query"


@pytest.mark.parametrize(
    "raw", ["limit=", "limit=%D9%A3", "limit=0x10", "limit=1_0", "from=0", "x"]
)
def test_a_parameter_that_does_not_fit_is_named(raw: str) -> None:
    """Digits of other scripts and Python's own spellings of numbers are no numbers here."""
    with pytest.raises(BadRequest) as caught:
        decode_query(raw, TaskQuery)
    assert set(caught.value.fields or {}) == {raw.partition("=")[0]}


class _Inner(msgspec.Struct):
    name: str


class _Outer(msgspec.Struct):
    either: _Inner | None
    many: list[_Inner]
    plain: int


def test_problems_inside_lists_and_optional_objects_have_a_path() -> None:
    """Also where a field says no more of itself than its type."""
    refusal = _refused(b'{"either": {}, "many": [{"name": 1}], "plain": "x"}', _Outer)
    assert refusal.fields == {
        "either.name": "is required",
        "many[0].name": "must be text, got a whole number",
        "plain": "must be a whole number, got text",
    }


class _Seen(Input, frozen=True):
    at: Annotated[datetime, Meta(tz=True)]


class _Nested(Input, frozen=True):
    inner: _Seen


@pytest.mark.parametrize(
    ("moment", "taken"),
    [
        ("2026-11-22T18:39:44.123Z", True),
        ("2026-11-22T18:39:44+14:00", True),
        ("2000-01-01T00:00:00-12:00", True),
        ("2026-11-22T18:39:44+23:59", False),
        ("9999-12-31T23:59:59-23:59", False),
        ("0001-01-01T00:00:00+14:00", False),
    ],
)
def test_a_moment_that_the_database_would_not_take_is_named(moment: str, taken: bool) -> None:
    """RFC 3339 allows offsets that PostgreSQL does not; they were a 500, in any depth."""
    for shape, body, name in (
        (_Seen, {"at": moment}, "at"),
        (_Nested, {"inner": {"at": moment}}, "inner.at"),
    ):
        try:
            decode_body(json.dumps(body).encode(), shape, DEPTH)
            refused: Any = None
        except BadRequest as refusal:
            refused = refusal.fields
        assert refused == (
            None
            if taken
            else {name: "must be from 2000-01-01 to 2100-12-31, at most 14 hours from UTC"}
        )
