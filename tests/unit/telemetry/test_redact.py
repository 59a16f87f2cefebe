"""What must never be seen in a log, and what must be seen all the same."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from loguru import logger

from gtsd.errors import DependencyUnavailable
from gtsd.telemetry.lines import Shape
from gtsd.telemetry.log import Log, request
from gtsd.telemetry.redact import MASK, Redactor, mask, mask_path
from tests.unit.telemetry.answered import answered
from tests.unit.telemetry.canaries import CANARIES
from tests.unit.telemetry.conftest import Capture


def _in_message(text: str) -> None:
    logger.info(text)


def _in_extra(text: str) -> None:
    logger.bind(seen=text, deep={"list": [{"text": text}]}).warning("said")


def _in_a_key(text: str) -> None:
    logger.bind(seen={text: 1}).info("said")


def _in_stdlib(text: str) -> None:
    logging.getLogger("tornado.application").error("failed: %s", text)


@dataclass
class _Holder:
    text: str


def _in_a_repr(text: str) -> None:
    logger.bind(holder=_Holder(text), error=ValueError(text)).info("said")


def _in_a_traceback(text: str) -> None:
    try:
        _fail(text)
    except ValueError:
        logger.exception("failed")


def _fail(local: str) -> None:
    try:
        raise KeyError(local)  # noqa: TRY301 - two in a row are what is tested
    except KeyError as error:
        raise ValueError(local) from error


def _in_the_path(text: str) -> None:
    request(answered(url="/v1/" + quote(text, safe="")))


def _in_a_raw_path(text: str) -> None:
    request(answered(url="/v1/" + text, query=(text,)))


def _in_a_request_error(text: str) -> None:
    request(answered(status=500, error=RuntimeError(text)))


def _in_a_cause(text: str) -> None:
    error = DependencyUnavailable("database")
    error.__cause__ = OSError(text)
    request(answered(status=503, error=error))


PLACEMENTS: tuple[Callable[[str], None], ...] = (
    _in_message,
    _in_extra,
    _in_a_key,
    _in_stdlib,
    _in_a_repr,
    _in_a_traceback,
    _in_the_path,
    _in_a_raw_path,
    _in_a_request_error,
    _in_a_cause,
)


@pytest.mark.parametrize("shape", ["json", "pretty"])
@pytest.mark.parametrize("place", PLACEMENTS)
def test_no_canary_reaches_a_line(
    capture: Capture, place: Callable[[str], None], shape: str
) -> None:
    """Each of thirty secrets in each of ten places is hidden, in both formats."""
    captured = capture(GTSD_LOG_FORMAT=shape, LOG_LEVEL="trace")
    for canary in CANARIES:
        place(canary.text)
    written = captured.raw().decode()
    assert [canary for canary in CANARIES if canary.secret in written] == []
    assert written.count(MASK) >= len(CANARIES)


class _Blind(Redactor):
    def text(self, text: str) -> str:
        return text


@pytest.mark.parametrize("place", PLACEMENTS)
def test_every_canary_would_be_seen_without_the_redactor(
    capture: Capture, place: Callable[[str], None]
) -> None:
    """The control: it is the redactor that hides them, and not the place that loses them."""
    captured = capture(lambda fd: Log(Shape(_Blind()), fd, "TRACE", pretty=False))
    for canary in CANARIES:
        place(canary.text)
    written = captured.raw().decode().replace('\\"', '"').replace("\\\\", "\\")
    encoded = place is _in_the_path
    wanted = [quote(c.secret, safe="") if encoded else c.secret for c in CANARIES]
    assert [secret for secret in wanted if secret not in written] == []


@pytest.mark.parametrize(
    "text",
    [
        "request completed",
        "/v1/tasks/1234567890/complete",
        "/v1/progress/photos/9223372036854775807",
        "listening on 127.0.0.1:3000",
        "123e4567-e89b-12d3-a456-426614174000",
        "test_ready_is_503_while_draining_and_more",
        "Basic authentication is not offered, bearer is",
        "relation tasks_user_id_due_date_type_idx does not exist",
        "2026-11-22T18:50:00.123Z took 00:00:01.5",
        "migrations/0001_accounts_tasks_and_streaks.sql",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    """A log that hides what one looks for is no help either."""
    assert mask(text) == text


def test_only_the_secret_part_is_hidden() -> None:
    """The rest of a line still tells what happened."""
    text = "cannot connect to postgresql://gtsd:hunter2@db:5432/gtsd?sslmode=verify-full now"
    assert mask(text) == (
        f"cannot connect to postgresql://gtsd:{MASK}@db:5432/gtsd?sslmode={MASK} now"
    )


def test_masking_twice_changes_nothing_more() -> None:
    """A text that went through one filter already stays as it is."""
    for canary in CANARIES:
        once = mask(canary.text)
        assert mask(once) == once


def test_a_harmless_encoded_path_is_shown_as_it_was_sent() -> None:
    """Decoding is for looking, not for logging."""
    assert mask_path("/v1/a%20b") == "/v1/a%20b"


def test_fields_named_like_secrets_are_hidden_whatever_they_hold() -> None:
    """A number or a list is as secret as a text."""
    hidden = Redactor().value({"password": 1, "apiKey": ["x"], "nested": {"refreshToken": None}})
    assert hidden == {"password": MASK, "apiKey": MASK, "nested": {"refreshToken": MASK}}


def test_values_become_types_that_json_has() -> None:
    """Bytes may be a body, depth and width are bounded, and a broken repr is survived."""

    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    deep: list[object] = []
    for _ in range(20):
        deep = [deep]
    shown = Redactor().value(
        {1: b"abc", "set": {2}, "wide": list(range(500)), "deep": deep, "broken": Broken()}
    )
    assert shown["1"] == "<3 bytes>"
    assert shown["set"] == [2]
    assert len(shown["wide"]) == 50
    assert str(shown["deep"]).count("[") < 20
    assert shown["broken"] == "<Broken cannot be shown: RuntimeError>"


_HARD_PIECES = (
    *("://:", "a@", "aa.", "password", "token", 'password="', "eyJ", "cookie:", "bearer "),
    *("?a", "a%40", "-----BEGIN A PRIVATE KEY-----", "A1_", "A" * 39 + "/", "password \t", "+1"),
)


@pytest.mark.parametrize("piece", _HARD_PIECES)
def test_no_text_of_a_client_takes_long(piece: str) -> None:
    """Sixteen thousand characters chosen to be hard, each rule nearly matching everywhere."""
    for last in ("", "@", "'"):
        text = (piece * 16_384)[:16_000] + last
        # Of this thread's own work, whatever else the machine has to do.
        began = time.thread_time()
        mask(text)
        assert time.thread_time() - began < 0.5


def test_a_text_is_cut_before_it_is_searched() -> None:
    """A message of megabytes costs what 16 kB cost."""
    assert len(mask("a b " * 1_000_000)) == 16_384
