"""The route table against the plainest way to do the same."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gtsd.app import table
from gtsd.errors import ApiError, MethodNotAllowed, NotFound
from gtsd.web.answers import Answer
from gtsd.web.call import Call
from gtsd.web.routes import MAX_ID, Policy, Route, RouteTable, origin_form, path_excerpt

TABLE = table()
_SEGMENTS = st.sampled_from(
    [
        *sorted({part for route in TABLE.routes for part in route.template.split("/")} - {"{id}"}),
        "1",
        "0",
        "01",
        "-1",
        "+1",
        "1.0",
        "٣",
        "%31",
        str(MAX_ID),
        str(MAX_ID + 1),
        "9" * 30,
        "..",
    ]
) | st.text(max_size=3)
_PATHS = st.lists(_SEGMENTS, max_size=5).map(lambda parts: "/" + "/".join(parts))
_METHODS = st.sampled_from(["GET", "HEAD", "POST", "PATCH", "DELETE", "PUT", "OPTIONS", "get", ""])


def _naive(method: str, path: str) -> object:
    """The template, or the status of the refusal, by trying each route's own expression."""
    method = "GET" if method == "HEAD" else method
    fitting = {}
    for route in TABLE.routes:
        expression = re.escape(route.template).replace(r"\{id\}", "([1-9][0-9]{0,18})")
        found = re.fullmatch(expression, path)
        if found and all(int(number) <= MAX_ID for number in found.groups()):
            fitting[route.method] = route.template
    return fitting.get(method, 405 if fitting else 404)


def _matched(method: str, path: str) -> object:
    try:
        return TABLE.match(method, path).route.template
    except ApiError as refusal:
        return refusal.status


@given(method=_METHODS, path=_PATHS | st.text(max_size=20))
@example(method="GET", path="xhealth")
@example(method="GET", path="*")
@example(method="GET", path="/health/")
@example(method="GET", path="//health")
@example(method="GET", path="/v1/tasks/today/evidence")
def test_a_path_finds_what_trying_every_route_finds(method: str, path: str) -> None:
    """For every method and path, the same template or the same refusal."""
    assert _matched(method, path) == _naive(method, path)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/health", "/health"),
        ("/v1/tasks/7", "/v1/tasks/{id}"),
        ("/v1/tasks/today", "/v1/tasks/today"),
        ("xhealth", 404),
        ("/v1", 404),
        ("/v1/nothing", 404),
        ("/v1/tasks/07", 404),
        (f"/v1/tasks/{MAX_ID + 1}", 404),
    ],
)
def test_a_path_is_a_template_or_not_found(path: str, found: object) -> None:
    """The same without chance, one of each kind."""
    assert _matched("GET", path) == _naive("GET", path) == found


def test_a_use_case_has_the_name_of_its_handler() -> None:
    """As its span shows it."""
    assert TABLE.match("POST", "/v1/evidence").route.use_case == "tasks.give_evidence"


@given(number=st.integers(1, MAX_ID))
def test_an_id_reaches_the_handler_as_it_was_sent(number: int) -> None:
    """The whole range of the database's bigint."""
    assert TABLE.match("GET", f"/v1/tasks/{number}").params == {"id": number}


def test_a_wrong_method_names_the_right_ones() -> None:
    """In the header Allow, HEAD and OPTIONS among them."""
    with pytest.raises(MethodNotAllowed) as caught:
        TABLE.match("PUT", "/v1/tasks/7")
    assert caught.value.headers == {"Allow": "DELETE, GET, HEAD, OPTIONS, PATCH"}
    assert TABLE.allowed("/auth/login") == ["OPTIONS", "POST"]
    with pytest.raises(NotFound):
        TABLE.allowed("/v1/nothing")


async def _handler(call: Call) -> Answer:
    del call
    return Answer(200, b"")


def test_two_routes_for_one_method_and_path_are_a_mistake() -> None:
    """Found when the process starts, not by the client who gets the other one."""
    one = Route("GET", "/a/{id}", _handler, Policy.PUBLIC, "One", "ops")
    two = Route("GET", "/a/{other}", _handler, Policy.PUBLIC, "Two", "ops")
    with pytest.raises(ValueError, match="two routes for GET"):
        RouteTable([one, two])


@given(path=st.text(max_size=100))
def test_a_path_is_shown_bounded_and_printable(path: str) -> None:
    """It may stand in an answer and in a log."""
    shown = path_excerpt(path)
    assert len(shown) <= 80
    assert shown.isprintable()


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a?b=http://c", "/a?b=http://c"),
        ("http://gtsd/a?b", "/a?b"),
        ("HTTPS://user:secret@gtsd:80/a", "/a"),
        ("http://gtsd", "/"),
        ("http://gtsd?b", "/?b"),
        ("ftp://gtsd/a", "ftp://gtsd/a"),
        ("*", "*"),
        ("", ""),
    ],
)
def test_our_own_address_before_a_path_is_passed_over(target: str, path: str) -> None:
    """A proxy may pass the target on as its client sent it."""
    assert origin_form(target) == path
