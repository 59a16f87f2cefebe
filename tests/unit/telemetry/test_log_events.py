"""Every other line: levels, fields, and what cannot be shown."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Mapping

import pytest
from loguru import logger

from gtsd.telemetry import lines, log, tracing
from gtsd.telemetry.log import request
from tests.unit.telemetry.answered import answered
from tests.unit.telemetry.conftest import Capture


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
    request(answered(status=500, error=Broken()))
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


def test_every_loguru_level_has_its_number() -> None:
    """None is forgotten in the table."""
    names = ("TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL")
    assert {logger.level(name).no for name in names} == set(lines.LEVELS)
