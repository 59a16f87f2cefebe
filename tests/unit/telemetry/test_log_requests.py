"""The one line of a request."""

from __future__ import annotations

import os
import socket
import time

import pytest
from msgspec.structs import replace

from gtsd.errors import DeadlineExceeded, DependencyUnavailable, InternalError, NotFound
from gtsd.telemetry import log
from gtsd.telemetry.log import request
from gtsd.telemetry.redact import MASK
from tests.unit.telemetry.answered import ANSWERED, answered
from tests.unit.telemetry.conftest import Capture


def test_a_request_is_one_line_in_the_guides_shape(capture: Capture) -> None:
    """Names, types and units are those that log aggregation is set up for."""
    captured = capture()
    before = time.time() * 1000
    request(replace(ANSWERED, at=time.time()))
    line = captured.line()
    assert before - 1 <= line.pop("time") <= time.time() * 1000
    assert line == {
        "level": 30,
        "pid": os.getpid(),
        "hostname": socket.gethostname(),
        "req": {"id": "req-123", "method": "GET", "url": "/v1/tasks/today"},
        "res": {"statusCode": 200},
        "responseTime": 42.0,
        "msg": "request completed",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": "b7ad6b7169203331",
        "user_id": "7",
        "route": "/v1/tasks/today",
    }


def test_what_a_request_does_not_have_is_left_out(capture: Capture) -> None:
    """No user, no trace, no error: no such fields."""
    captured = capture()
    request(answered(user_id=None, trace_id=None, span_id=None))
    assert captured.line().keys().isdisjoint({"user_id", "trace_id", "span_id", "err"})


def test_of_a_query_only_ten_names_are_logged(capture: Capture) -> None:
    """The names help to understand a request; their number is the client's to choose."""
    captured = capture()
    request(answered(query=("date", *(f"p{n}" for n in range(20)))))
    assert captured.line()["req"]["query"] == ["date", *(f"p{n}" for n in range(9))]


def test_a_token_sent_as_request_id_or_method_is_hidden(capture: Capture) -> None:
    """Both are the client's to choose; an ordinary id is never changed."""
    captured = capture()
    request(answered(id="eyJhbGciOiJIUzI1NiJ9.e.s", method="EYJHBGCIOIJIUZI1NIJ9"))
    assert captured.line()["req"] == {"id": MASK, "method": MASK, "url": ANSWERED.url}


@pytest.mark.parametrize(
    ("changes", "level", "msg"),
    [
        ({}, 30, "request completed"),
        ({"status": 404, "error": NotFound()}, 30, "request completed"),
        ({"status": 503, "error": DeadlineExceeded()}, 40, "request errored"),
        ({"status": 500, "error": InternalError()}, 50, "request errored"),
        ({"status": 500, "error": ValueError("x")}, 50, "request errored"),
        ({"status": 500}, 50, "request errored"),
        ({"route": "/ready"}, 20, "request completed"),
        ({"route": "/ready", "status": 503, "error": DeadlineExceeded()}, 20, "request errored"),
        ({"route": "/ready", "status": 503}, 20, "request errored"),
        ({"route": "/ready", "status": 500, "error": ValueError()}, 50, "request errored"),
        ({"level": "TRACE"}, 10, "request completed"),
    ],
)
def test_the_level_follows_from_the_answer(
    capture: Capture, changes: dict[str, object], level: int, msg: str
) -> None:
    """Probes are silent, refusals normal, missing servers a warning, bugs errors."""
    captured = capture(LOG_LEVEL="trace")
    request(answered(**changes))
    line = captured.line()
    assert (line["level"], line["msg"]) == (level, msg)


def test_probes_are_not_written_at_info(capture: Capture) -> None:
    """Twelve probes a minute a proxy would drown the rest; other requests stay."""
    captured = capture()
    for route in log.PROBES:
        request(answered(route=route))
    request(ANSWERED)
    assert captured.line()["route"] == "/v1/tasks/today"


def test_a_refusal_has_its_code_and_no_stack(capture: Capture) -> None:
    """A 404 is explained by its code."""
    captured = capture()
    request(answered(status=404, error=NotFound()))
    assert captured.line()["err"] == {
        "type": "NotFound",
        "code": "not_found",
        "message": "There is nothing here.",
    }


def test_a_missing_server_has_its_name_and_cause_and_no_stack(capture: Capture) -> None:
    """Whoever is on call reads which server, and what the driver said."""
    captured = capture()
    error = DependencyUnavailable("database")
    error.__cause__ = OSError("connection refused")
    request(answered(status=503, error=error))
    err = captured.line()["err"]
    assert err["dependency"] == "database"
    assert err["cause"] == "OSError: connection refused"
    assert "stack" not in err


HIDDEN = "value of a local"


def _fail(hidden: str) -> None:
    raise LookupError(f"no such thing, {len(hidden)}")


def test_a_bug_has_its_stack_in_the_same_line(capture: Capture) -> None:
    """Type, message and stack, with the fault in it and no values of variables."""
    captured = capture()
    try:
        _fail(HIDDEN)
    except LookupError as error:
        request(answered(status=500, error=error))
    err = captured.line()["err"]
    assert (err["type"], err["code"]) == ("LookupError", "internal_error")
    assert err["message"] == "no such thing, 16"
    assert "test_a_bug_has_its_stack_in_the_same_line" in err["stack"]
    assert HIDDEN.encode() not in captured.raw()
