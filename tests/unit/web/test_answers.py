"""The two envelopes."""

from __future__ import annotations

import json

import pytest

from gtsd.errors import ApiError, BadRequest, MethodNotAllowed, TooManyRequests, Unauthenticated
from gtsd.web.answers import refusal, success


def test_success_is_data_in_an_envelope() -> None:
    """What is encoded already is not touched."""
    answer = success(b'{"a" : 1}', 201, {"X-Thing": "y"})
    assert (answer.status, answer.body) == (201, b'{"success":true,"data":{"a" : 1}}')
    assert answer.headers == {"X-Thing": "y"}
    assert success(b"[]").headers == {}


@pytest.mark.parametrize(
    ("error", "headers", "fields"),
    [
        (BadRequest(fields={"a.b": "is wrong"}), {}, {"a.b": "is wrong"}),
        (BadRequest(fields={}), {}, None),
        (Unauthenticated(), {"WWW-Authenticate": 'Bearer realm="gtsd"'}, None),
        (TooManyRequests(retry_after=7), {"Retry-After": "7"}, None),
        (MethodNotAllowed(headers={"Allow": "GET"}), {"Allow": "GET"}, None),
    ],
)
def test_an_error_is_code_message_and_request_id(
    error: ApiError, headers: dict[str, str], fields: dict[str, str] | None
) -> None:
    """Fields only where there are some; what the client needs to go on is in the headers."""
    answer = refusal(error, "id-1")
    told = {"code": error.code, "message": error.message, "requestId": "id-1"}
    if fields:
        told["fields"] = fields  # type: ignore[assignment]  # one object among texts
    assert json.loads(answer.body) == {"success": False, "error": told}
    assert (answer.status, answer.headers) == (error.status, headers)
