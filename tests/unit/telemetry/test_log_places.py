"""Where lines go: a terminal, a pipe, and the end of a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import msgspec
import pytest
from loguru import logger

from gtsd.telemetry import log
from gtsd.telemetry.log import request
from gtsd.telemetry.redact import MASK
from tests.support.environments import DEVELOPMENT
from tests.unit.telemetry.answered import ANSWERED, answered
from tests.unit.telemetry.conftest import Capture, MakeSettings


def test_pretty_lines_are_for_people(capture: Capture) -> None:
    """Time, level, message and what matters first; a stack on lines of its own."""
    captured = capture(GTSD_LOG_FORMAT="pretty")
    request(ANSWERED)
    logger.bind(rows=[3]).warning("counted")
    try:
        _ = 1 / 0
    except ZeroDivisionError as error:
        request(answered(status=500, error=error))
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
    request(answered(url="/\x1b[2J\x07\u202e"))
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
from gtsd.telemetry import collector, log
from loguru import logger

chosen = settings.read(dict(zip(("DATABASE_URL", "JWT_SECRET"), sys.argv[2:])))
log.configure(chosen)
collector.configure(chosen)
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
