"""What other people's code says arrives in the same log."""

from __future__ import annotations

import logging
import sys
import threading
import warnings

import pytest

from gtsd.telemetry import intercept
from tests.unit.telemetry.conftest import Capture


def test_stdlib_logging_arrives_with_its_logger_and_level(capture: Capture) -> None:
    """Tornado, aiopg, asyncio and botocore speak by logging."""
    captured = capture(LOG_LEVEL="trace")
    levels = {5: 10, 10: 20, 20: 30, 25: 30, 30: 40, 40: 50, 50: 60}
    for level in levels:
        logging.getLogger("tornado.application").log(level, "value %d", level)
    # At trace, threads of other tests may be heard as well.
    said = [line for line in captured.lines() if line.get("logger") == "tornado.application"]
    assert [(line["level"], line["msg"]) for line in said] == [
        (number, f"value {level}") for level, number in levels.items()
    ]


def test_stdlib_lines_below_the_level_cost_nothing(capture: Capture) -> None:
    """The root logger has the level already, so that they are not even made."""
    captured = capture(LOG_LEVEL="warn")
    assert not logging.getLogger("tornado.general").isEnabledFor(logging.INFO)
    logging.getLogger("tornado.general").warning("said")
    assert captured.line()["msg"] == "said"


def test_libraries_that_show_secrets_at_debug_are_kept_at_info(capture: Capture) -> None:
    """botocore's debug lines hold signatures and headers."""
    captured = capture(LOG_LEVEL="trace")
    logging.getLogger("botocore").debug("headers")
    logging.getLogger("botocore.auth").debug("signature")
    logging.getLogger("botocore").info("said")
    assert captured.line()["msg"] == "said"


def test_an_exception_from_stdlib_logging_has_its_stack(capture: Capture) -> None:
    """Type, message and stack as fields, the stack asked for by stack_info in the message."""
    captured = capture()
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        logging.getLogger("asyncio").exception("failed", stack_info=True)
    line = captured.line()
    assert line["err"]["type"] == "ZeroDivisionError"
    assert "ZeroDivisionError" in line["err"]["stack"]
    assert line["msg"].startswith("failed\nStack (most recent call last):")


def test_wrong_arguments_do_not_reach_who_logs(capture: Capture) -> None:
    """A template that does not fit, or an argument without str(), leaves the template."""

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    captured = capture()
    logging.getLogger("x").warning("count %d", "many")
    logging.getLogger("x").warning("object %s", Broken())
    logging.getLogger("x").warning(Broken())
    assert [line["msg"] for line in captured.lines()] == [
        "count %d",
        "object %s",
        "<Broken cannot be shown: RuntimeError>",
    ]


def test_warnings_arrive(capture: Capture) -> None:
    """Where they would otherwise go to stderr."""
    captured = capture()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # pytest looks at warnings by the hook that captureWarnings replaced.
        warnings.showwarning("old", DeprecationWarning, "x.py", 1)
    line = captured.line()
    assert (line["level"], line["logger"]) == (40, "py.warnings")
    assert "DeprecationWarning: old" in line["msg"]


def test_an_exporter_that_repeats_itself_is_heard_once_a_minute(
    capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line of code for itself, with the number of times that it was held back."""
    now = 1_000.0
    monkeypatch.setattr("gtsd.telemetry.intercept.time.monotonic", lambda: now)
    captured = capture()
    exporter = logging.getLogger("opentelemetry.exporter.otlp")

    def complain() -> None:
        exporter.warning("collector is away")

    for _ in range(50):
        complain()
    exporter.error("another line")
    now += intercept.QUIET_S
    complain()
    said = [(line["msg"], line.get("repeated")) for line in captured.lines()]
    assert said == [("collector is away", None), ("another line", None), ("collector is away", 49)]


def test_others_may_repeat_themselves(capture: Capture) -> None:
    """The control: only the chatty ones are held back."""
    captured = capture()
    for _ in range(50):
        logging.getLogger("tornado.application").warning("again")
    assert len(captured.lines()) == 50


def test_an_uncaught_exception_in_a_thread_is_logged(capture: Capture) -> None:
    """Not printed as a bare traceback; a thread that ends by SystemExit says nothing."""
    captured = capture()

    def fail() -> None:
        raise ValueError("lost")

    for target in (fail, sys.exit):
        thread = threading.Thread(target=target, name="worker-1")
        thread.start()
        thread.join()
    line = captured.line()
    assert (line["level"], line["thread"], line["err"]["message"]) == (50, "worker-1", "lost")


def test_an_interrupt_is_left_to_python(
    capture: Capture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C is no fault of ours; anything else that nobody caught is fatal."""
    captured = capture()
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    sys.excepthook(ValueError, ValueError("lost"), None)
    assert captured.line()["level"] == 60
    assert "KeyboardInterrupt" in capsys.readouterr().err


def test_closing_gives_everything_back(capture: Capture) -> None:
    """Handlers, levels and hooks are as they were."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level, sys.excepthook, threading.excepthook)
    botocore = logging.getLogger("botocore").level
    captured = capture(LOG_LEVEL="error")
    assert [type(handler) for handler in root.handlers] == [intercept.ToLoguru]
    captured.close()
    assert (root.handlers[:], root.level, sys.excepthook, threading.excepthook) == before
    assert logging.getLogger("botocore").level == botocore
