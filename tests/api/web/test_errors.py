"""Every refusal has one shape, whatever is wrong and whoever notices it (faults 5, 17 and 18)."""

from __future__ import annotations

import re
from contextlib import closing
from typing import Any, NamedTuple

import psycopg2
import pytest

from tests.api.conftest import Running, Start
from tests.support.client import Client, Response

LOGIN = {"email": "ada@example.com", "password": "Correct-horse-7"}


class Refused(NamedTuple):
    """A request and what must come of it."""

    method: str
    path: str
    status: int
    code: str
    raw: bytes | None = None
    content_type: str = "application/json"
    message: str = ""


def _login(raw: bytes, code: str, message: str = "") -> Refused:
    return Refused("POST", "/auth/login", 400, code, raw, message=message)


DEEP = b'{"email":' + b"[" * 40 + b"]" * 40 + b"}"
REFUSED = [
    Refused("GET", "/", 404, "not_found"),
    Refused("GET", "/nowhere", 404, "not_found"),
    Refused("GET", "/v1/tasks/", 404, "not_found"),
    Refused("GET", "/%2e%2e/etc/passwd", 404, "not_found"),
    Refused("GET", "/v1//tasks", 404, "not_found"),
    Refused("OPTIONS", "/nowhere", 404, "not_found"),
    Refused("DELETE", "/health", 405, "method_not_allowed"),
    Refused("GET", "/auth/login", 405, "method_not_allowed"),
    Refused("BREW", "/v1/tasks", 405, "method_not_allowed"),
    Refused("GET", "/auth/me", 401, "unauthenticated"),
    _login(b'{"email": ', "invalid_json"),
    _login(b"[1, 2", "invalid_json"),
    _login(b"\xff\xfe", "invalid_json"),
    _login(b"NaN", "invalid_json"),
    _login(DEEP, "invalid_json", "The JSON is nested deeper than 32."),
    _login(b'{"email": ' * 5_000, "invalid_json", "The JSON is nested deeper than 32."),
    _login(b'{"email": "a\\u0000b", "password": "x"}', "invalid_json"),
    _login(b'{"email": "a\x00b", "password": "x"}', "invalid_json"),
    _login(b'{"email": "\\ud800", "password": "x"}', "invalid_json"),
    _login(b"[]", "invalid_fields"),
    _login(b"null", "invalid_fields"),
    _login(b'"text"', "invalid_fields"),
    _login(b"", "invalid_fields"),
    Refused("POST", "/auth/login", 415, "unsupported_media_type", b"{}", "text/plain"),
    Refused("POST", "/auth/login", 415, "unsupported_media_type", b"{}", "application/jsonp"),
    Refused(
        "POST", "/auth/login", 415, "unsupported_media_type", b"{}", "application/json;charset=koi8"
    ),
    Refused(
        "POST", "/auth/login", 415, "unsupported_media_type", b"a=b",
        "application/x-www-form-urlencoded",
    ),
    Refused("POST", "/auth/login", 413, "payload_too_large", b"x" * 102_401),
]  # fmt: skip


def _check_shape(answer: Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(answer.json) == {"success", "error"}
    error: dict[str, Any] = answer.error
    assert set(error) - {"fields"} == {"code", "message", "requestId"}
    assert error["code"] == code
    assert re.fullmatch("[a-z_]+", code)
    assert error["message"]
    assert error["requestId"] == answer.headers["X-Request-ID"]
    return error


@pytest.mark.parametrize("refused", REFUSED, ids=lambda r: f"{r.status}-{r.method}-{r.path}")
async def test_every_refusal_has_the_same_shape(service: Running, refused: Refused) -> None:
    """A code for programs, a sentence for people, and the request id (faults 5, 17 and 18)."""
    headers = {} if refused.raw is None else {"Content-Type": refused.content_type}
    client = Client(service.base, validates=False)
    answer = await client.call(refused.method, refused.path, raw=refused.raw, headers=headers)
    error = _check_shape(answer, refused.status, refused.code)
    assert refused.message in error["message"]


async def test_a_wrong_method_is_told_the_right_ones(service: Running) -> None:
    """In Allow, as the protocol wants it, and for people in the message."""
    answer = await service.client.call("PUT", "/auth/me")
    _check_shape(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH"
    assert "PATCH" in answer.error["message"]


async def test_every_bad_field_is_named_at_once(service: Running) -> None:
    """Missing, wrong and unknown ones, each with what to do about it."""
    answer = await service.client.post("/auth/login", {"email": 7, "passwort": "x"})
    error = _check_shape(answer, 400, "invalid_fields")
    assert error["fields"] == {
        "email": error["fields"]["email"],
        "password": error["fields"]["password"],
        "passwort": "is not known here",
    }
    assert error["fields"]["password"].startswith("is required")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("date=2026-02-30", "invalid_fields"),
        ("limit=0", "invalid_fields"),
        ("limit=101", "invalid_fields"),
        ("limit=ten", "invalid_fields"),
        ("offset=-1", "invalid_fields"),
        ("offset=99999999999999999999", "invalid_fields"),
        ("type=sleep", "invalid_fields"),
        ("day=2026-11-18", "invalid_fields"),
        ("limit=1&limit=2", "invalid_query"),
        ("type=%00", "invalid_query"),
        ("type=%ff", "invalid_query"),
        ("&".join(f"a{n}=1" for n in range(30)), "invalid_query"),
    ],
)
async def test_a_query_that_cannot_be_meant_is_refused(ada: Client, query: str, code: str) -> None:
    """Unknown parameters too: a filter that is misspelt must not look like one that finds all."""
    _check_shape(await ada.get(f"/v1/tasks/today?{query}"), 400, code)


@pytest.mark.parametrize(
    "number",
    ["0", "-1", "+1", "01", "1.0", "1e3", "one", "%31", "9223372036854775808", "9" * 200, "٣", ""],
)
async def test_an_id_that_is_none_is_not_found(ada: Client, number: str) -> None:
    """It can be nobody's, and must not reach the database."""
    for method, path in (("GET", ""), ("GET", "/evidence"), ("POST", "/complete")):
        answer = await ada.call(method, f"/v1/tasks/{number}{path}".encode().decode("latin1"))
        _check_shape(answer, 404, "not_found")


async def test_ids_that_could_be_ones_are_not_found_in_the_database(ada: Client) -> None:
    """The control: the largest one is looked for."""
    for number in (1, 2**63 - 1):
        _check_shape(await ada.get(f"/v1/tasks/{number}"), 404, "not_found")


async def test_a_crash_says_a_fixed_sentence_and_nothing_of_the_database(
    start: Start, migrated_database_url: str
) -> None:
    """Whoever runs it finds the reason in the log by the id (fault 5)."""
    service = await start(database_url=migrated_database_url)
    ada = await service.person()
    with closing(psycopg2.connect(migrated_database_url)) as connection:
        connection.cursor().execute("ALTER TABLE tasks RENAME COLUMN title TO canary")
        connection.commit()
    given = {"X-Request-ID": "mine-7"}
    for answer in (
        await ada.get("/v1/tasks", headers=given),
        await ada.post("/v1/tasks", {"title": "Read"}, headers=given),
    ):
        error = _check_shape(answer, 500, "internal_error")
        assert error == {
            "code": "internal_error",
            "message": "Something went wrong on our side. Quote the request id.",
            "requestId": "mine-7",
        }
    # One broken table breaks no other route.
    assert (await ada.get("/auth/me")).status == 200
