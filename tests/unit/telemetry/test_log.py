"""The shape of lines, and where they go."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

import msgspec
import pytest
from loguru import logger

from gtsd.errors import (
    DeadlineExceeded,
    DependencyUnavailable,
    InternalError,
    NotFound,
)
from gtsd.telemetry import lines, log, tracing
from gtsd.telemetry.log import RequestRecord, request
from gtsd.telemetry.redact import MASK
from tests.support.environments import DEVELOPMENT
from tests.unit.telemetry.conftest import Capture, MakeSettings

ANSWERED = RequestRecord(
    id="req-123",
    method="GET",
    url="/v1/tasks/today",
    route="/v1/tasks/today",
    status=200,
    duration_s=0.042,
    user_id="7",
    trace_id="0af7651916cd43dd8448eb211c80319c",
    span_id="b7ad6b7169203331",
)


def _changed(**changes: object) -> RequestRecord:
    return msgspec.structs.replace(ANSWERED, **changes)


def test_a_request_is_one_line_in_the_guides_shape(capture: Capture) -> None:
    """Names, types and units are those that log aggregation is set up for."""
    captured = capture()
    before = time.time() * 1000
    request(ANSWERED)
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
    request(_changed(user_id=None, trace_id=None, span_id=None))
    assert captured.line().keys().isdisjoint({"user_id", "trace_id", "span_id", "err"})


def test_of_a_query_only_ten_names_are_logged(capture: Capture) -> None:
    """The names help to understand a request; their number is the client's to choose."""
    captured = capture()
    request(_changed(query=("date", *(f"p{n}" for n in range(20)))))
    assert captured.line()["req"]["query"] == ["date", *(f"p{n}" for n in range(9))]


def test_a_token_sent_as_request_id_or_method_is_hidden(capture: Capture) -> None:
    """Both are the client's to choose; an ordinary id is never changed."""
    captured = capture()
    request(_changed(id="eyJhbGciOiJIUzI1NiJ9.e.s", method="EYJHBGCIOIJIUZI1NIJ9"))
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
        ({"route": "/ready", "status": 500, "error": ValueError()}, 50, "request errored"),
        ({"level": "TRACE"}, 10, "request completed"),
    ],
)
def test_the_level_follows_from_the_answer(
    capture: Capture, changes: dict[str, object], level: int, msg: str
) -> None:
    """Probes are silent, refusals normal, missing servers a warning, bugs errors."""
    captured = capture(LOG_LEVEL="trace")
    request(_changed(**changes))
    line = captured.line()
    assert (line["level"], line["msg"]) == (level, msg)


def test_probes_are_not_written_at_info(capture: Capture) -> None:
    """Twelve probes a minute a proxy would drown the rest; other requests stay."""
    captured = capture()
    for route in log.PROBES:
        request(_changed(route=route))
    request(ANSWERED)
    assert captured.line()["route"] == "/v1/tasks/today"


def test_a_refusal_has_its_code_and_no_stack(capture: Capture) -> None:
    """A 404 is explained by its code."""
    captured = capture()
    request(_changed(status=404, error=NotFound()))
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
    request(_changed(status=503, error=error))
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
        request(_changed(status=500, error=error))
    err = captured.line()["err"]
    assert (err["type"], err["code"]) == ("LookupError", "internal_error")
    assert err["message"] == "no such thing, 16"
    assert "test_a_bug_has_its_stack_in_the_same_line" in err["stack"]
    assert HIDDEN.encode() not in captured.raw()


@pytest.mark.parametrize(
    ("method", "level"),
    [
        ("trace", 10),
        ("debug", 20),
        ("info", 30),
        ("success", 30),
        ("warning", 40),
        ("error", 50),
        ("critical", 60),
    ],
)
def test_levels_are_pinos_numbers(capture: Capture, method: str, level: int) -> None:
    """As the guide's readers expect them."""
    captured = capture(LOG_LEVEL="trace")
    getattr(logger, method)("said")
    assert captured.line()["level"] == level


@pytest.mark.parametrize(
    ("level", "kept"),
    [("trace", 6), ("debug", 5), ("info", 4), ("warn", 3), ("error", 2), ("fatal", 1)],
)
def test_lines_below_the_level_are_not_written(capture: Capture, level: str, kept: int) -> None:
    """LOG_LEVEL takes pino's names."""
    captured = capture(LOG_LEVEL=level)
    for said in ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        logger.log(said, "said")
    assert len(captured.lines()) == kept


def test_an_event_carries_its_fields_its_module_and_its_request(capture: Capture) -> None:
    """What is said within a request can be found by the request's id."""
    captured = capture()

    async def handle() -> None:
        log.set_request_id("req-9")
        await asyncio.create_task(work())

    async def work() -> None:
        logger.bind(rows=3, took=0.5).info("counted")

    asyncio.run(handle())
    logger.info("outside")
    inside, outside = captured.lines()
    assert inside["req"] == {"id": "req-9"}
    assert (inside["msg"], inside["rows"], inside["took"]) == ("counted", 3, 0.5)
    assert inside["logger"] == __name__
    assert "req" not in outside


def test_an_event_within_a_trace_carries_its_ids(capture: Capture) -> None:
    """Even with tracing off, the caller's ids lead from a trace to the lines."""
    captured = capture()

    async def handle() -> None:
        parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        with tracing.server_span({"traceparent": parent}, "GET"):
            logger.info("inside")

    asyncio.run(handle())
    line = captured.line()
    assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert line["span_id"] == "b7ad6b7169203331"


def test_fields_of_an_event_do_not_replace_those_of_the_line(capture: Capture) -> None:
    """A field named level or time is lost rather than a line that cannot be read."""
    captured = capture()
    logger.bind(level="x", time="y", pid=0).info("said")
    line = captured.line()
    assert line["level"] == 30
    assert line["pid"] == os.getpid()


def test_a_message_of_many_lines_stays_one_line(capture: Capture) -> None:
    """Line breaks, control characters, surrogates and quotes cannot forge a second line."""
    captured = capture()
    said = 'a\r\n{"level":60}\x00\x1b[31m "\u2028 end'
    logger.info("{}", said)
    assert captured.line()["msg"] == said


def test_text_without_utf8_is_escaped(capture: Capture) -> None:
    """Nobody keeps a line out of the log by putting a lone surrogate into it."""
    captured = capture()
    logger.info("a\ud800b")
    assert json.loads(captured.raw())["msg"] == "a\ud800b"


class _Broken(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        raise KeyError(key)

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        raise ArithmeticError


def test_a_line_that_fails_costs_the_line_and_not_the_request(capture: Capture) -> None:
    """Whoever logs gets no exception, and the log says that a line is missing."""
    captured = capture()
    logger.bind(broken=_Broken()).info("before")
    logger.info("after")
    first, second = captured.lines()
    assert (first["level"], first["msg"]) == (50, "a log line could not be written")
    assert first["err"] == {"type": "ArithmeticError"}
    assert second["msg"] == "after"


def test_an_exception_that_cannot_be_shown_is_survived(capture: Capture) -> None:
    """Its __str__ is anybody's code."""

    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    captured = capture()
    request(_changed(status=500, error=Broken()))
    logger.opt(exception=Broken()).error("failed")
    shown = "<Broken cannot be shown: RuntimeError>"
    assert [line["err"]["message"] for line in captured.lines()] == [shown, shown]


def test_an_event_with_an_exception_has_its_stack(capture: Capture) -> None:
    """From logger.exception, with the cause that came before."""
    captured = capture()
    try:
        try:
            _ = 1 / 0
        except ZeroDivisionError as error:
            raise LookupError("second") from error
    except LookupError:
        logger.exception("failed")
    err = captured.line()["err"]
    assert (err["type"], err["message"]) == ("LookupError", "second")
    assert "ZeroDivisionError: division by zero" in err["stack"]


def test_pretty_lines_are_for_people(capture: Capture) -> None:
    """Time, level, message and what matters first; a stack on lines of its own."""
    captured = capture(GTSD_LOG_FORMAT="pretty")
    request(ANSWERED)
    logger.bind(rows=[3]).warning("counted")
    try:
        _ = 1 / 0
    except ZeroDivisionError as error:
        request(_changed(status=500, error=error))
    first, second, third, *stack = captured.raw().decode().splitlines()
    assert "INFO" in first
    assert "request completed 200 GET /v1/tasks/today 42.0ms trace_id=0af765" in first
    assert "WARN" in second
    assert "counted logger=" in second
    assert "rows=[3]" in second
    assert 'err={"type":"ZeroDivisionError"' in third
    assert stack[0] == "Traceback (most recent call last):"


def test_a_terminal_never_obeys_a_client(capture: Capture) -> None:
    """Escape sequences in a path are shown, not sent."""
    captured = capture(GTSD_LOG_FORMAT="pretty")
    request(_changed(url="/\x1b[2J\x07\u202e"))
    written = captured.raw().decode()
    assert r"/\x1b[2J\x07\u202e" in written
    assert "\x1b[2J" not in written


@pytest.mark.parametrize(
    ("chosen", "environment", "terminal", "pretty"),
    [
        ("auto", "development", True, True),
        ("auto", "development", False, False),
        ("auto", "production", True, False),
        ("json", "development", True, False),
        ("pretty", "production", False, True),
    ],
)
def test_the_format_follows_from_where_the_lines_go(
    make_settings: MakeSettings, *, chosen: str, environment: str, terminal: bool, pretty: bool
) -> None:
    """JSON in production and for machines, text on a developer's terminal."""
    settings = msgspec.structs.replace(make_settings(GTSD_LOG_FORMAT=chosen), app_env=environment)
    ours, theirs = os.openpty() if terminal else os.pipe()[::-1]
    # A pipe gives (read, write): what we write to is the second, for a terminal either end.
    writing, reading = (theirs, ours) if terminal else (ours, theirs)
    running = log.configure(settings, writing)
    logger.info("said")
    assert running.close()
    written = os.read(reading, 65_536)
    os.close(ours)
    os.close(theirs)
    assert written.startswith(b"{") is not pretty


_SCRIPT = """
import sys
from gtsd import settings
from gtsd.telemetry import log, tracing
from loguru import logger

chosen = settings.read(dict(zip(("DATABASE_URL", "JWT_SECRET"), sys.argv[2:])))
log.configure(chosen)
tracing.configure(chosen)
logger.bind(sdk="opentelemetry.sdk" in sys.modules).info("said")
exec(sys.argv[1])
"""


def _run(last: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _SCRIPT, last, *DEVELOPMENT.values()]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_the_end_of_a_process_loses_no_line() -> None:
    """Nobody closed the log: what was queued is written on exit, and stderr stays empty."""
    done = _run("sys.exit(3)")
    assert (done.returncode, done.stderr) == (3, "")
    line = json.loads(done.stdout)
    assert line["msg"] == "said"
    # No collector is given, so the SDK is not even imported.
    assert line["sdk"] is False


def test_an_uncaught_exception_ends_in_the_log_and_not_on_stderr() -> None:
    """It is masked and one line like everything else."""
    done = _run("raise ValueError('password=hunter2Canary')")
    assert (done.returncode, done.stderr) == (1, "")
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["level"] == 60
    assert last["err"]["message"] == f"password={MASK}"
    assert "hunter2Canary" not in done.stdout


def test_closing_twice_is_allowed(capture: Capture) -> None:
    """The lifecycle closes it, and so does the end of the process."""
    captured = capture()
    assert captured.log.close()
    assert captured.log.close()


def test_every_loguru_level_has_its_number() -> None:
    """None is forgotten in the table."""
    names = ("TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL")
    assert {logger.level(name).no for name in names} == set(lines.LEVELS)
