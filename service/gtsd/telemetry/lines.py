"""The shape of a log line: the deployment guide's JSON, or text for a terminal."""

from __future__ import annotations

import json
import os
import socket
import time
import traceback
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gtsd.errors import ApiError, DependencyUnavailable, Unavailable
from gtsd.telemetry.redact import MASK, Redactor, mask_path, safely
from gtsd.telemetry.tracing import current_ids

if TYPE_CHECKING:
    from gtsd.telemetry.log import RequestRecord

# loguru's numbers to pino's.
LEVELS: Final = {5: 10, 10: 20, 20: 30, 25: 30, 30: 40, 40: 50, 50: 60}
_NAMES: Final = {10: "TRACE", 20: "DEBUG", 30: "INFO", 40: "WARN", 50: "ERROR", 60: "FATAL"}
_COLOURS: Final = {10: 90, 20: 90, 30: 32, 40: 33, 50: 31, 60: 35}
_FRAMES: Final = 40
_MAX_PARAMETERS: Final = 10
_CAUSE_CHARS: Final = 500

Fields = dict[str, Any]


class Shape:
    """Turns what was logged into fields, without secrets."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._pid = os.getpid()
        self._hostname = socket.gethostname()

    def head(self, level: int, at: float | None = None) -> Fields:
        """What every line begins with; ``level`` is pino's number, ``at`` is now by default."""
        return {
            "level": level,
            "time": int((time.time() if at is None else at) * 1000),
            "pid": self._pid,
            "hostname": self._hostname,
        }

    def request(self, record: RequestRecord, level: int) -> Fields:
        """The one line of a request."""
        req: Fields = {
            # It must be the id that the client was told: only what is surely a token is hidden.
            "id": MASK if "eyJ" in record.id else record.id,
            "method": record.method if len(record.method) <= 7 else MASK,
            "url": mask_path(record.url, self._redactor.text),
        }
        if record.query:
            req["query"] = [self._redactor.text(name) for name in record.query[:_MAX_PARAMETERS]]
        fields = self.head(level, record.at)
        fields["req"] = req
        fields["res"] = {"statusCode": record.status}
        fields["responseTime"] = round(record.duration_s * 1000, 3)
        fields["msg"] = "request errored" if record.status >= 500 else "request completed"
        if record.trace_id is not None:
            fields["trace_id"] = record.trace_id
            fields["span_id"] = record.span_id
        if record.user_id is not None:
            fields["user_id"] = record.user_id
        fields["route"] = record.route
        if record.error is not None:
            fields["err"] = self._request_error(record.error, record.status)
        return fields

    def event(self, record: Any, request_id: str | None) -> Fields:
        """Any other line, from a loguru record."""
        extra = dict(record["extra"])
        fields = self.head(LEVELS.get(record["level"].no, 30))
        fields["msg"] = self._redactor.text(record["message"])
        fields["logger"] = extra.pop("logger", None) or record["name"]
        if request_id is not None:
            fields["req"] = {"id": MASK if "eyJ" in request_id else request_id}
        ids = current_ids()
        if ids is not None:
            fields["trace_id"], fields["span_id"] = ids.trace_id, ids.span_id
        if record["exception"] is not None:
            fields["err"] = self._event_error(record["exception"])
        for name, value in self._redactor.value(extra).items():
            fields.setdefault(name, value)
        return fields

    def _request_error(self, error: BaseException, status: int) -> Fields:
        expected = isinstance(error, ApiError)
        fields: Fields = {
            "type": type(error).__name__,
            "code": error.code if isinstance(error, ApiError) else "internal_error",
            "message": self._redactor.text(
                error.message if isinstance(error, ApiError) else safely(str, error)
            ),
        }
        if isinstance(error, DependencyUnavailable):
            fields["dependency"] = error.dependency
        cause = error.__cause__
        if expected and cause is not None:
            text = f"{type(cause).__name__}: {safely(str, cause)}"
            fields["cause"] = self._redactor.text(text)[:_CAUSE_CHARS]
        # A refusal or a dependency that is away is explained by its code; a bug needs the stack.
        if status >= 500 and not isinstance(error, Unavailable):
            fields["stack"] = self._stack(type(error), error, error.__traceback__)
        return fields

    def _event_error(self, exception: Any) -> Fields:
        kind, error, trace = exception
        return {
            "type": getattr(kind, "__name__", "None"),
            "message": self._redactor.text(safely(str, error)),
            "stack": self._stack(kind, error, trace),
        }

    def _stack(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> str:
        # limit < 0 keeps the frames nearest to the fault. Locals are never shown.
        lines = traceback.format_exception(kind, error, trace, limit=-_FRAMES)
        return self._redactor.text("".join(lines).rstrip())


_encoder: Final = msgspec.json.Encoder()


def as_json(fields: Fields) -> bytes:
    """One line, whatever the texts in it hold."""
    try:
        return _encoder.encode(fields) + b"\n"
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8 but can be escaped
        return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def as_text(fields: Fields) -> bytes:
    """For a person at a terminal: time, level, message, the rest, then a stack on further lines."""
    rest = dict(fields)
    level = rest.pop("level")
    at = datetime.fromtimestamp(rest.pop("time") / 1000).astimezone().strftime("%H:%M:%S.%f")[:-3]
    for name in ("pid", "hostname"):
        rest.pop(name)
    error = dict(rest.get("err", ()))
    stack = error.pop("stack", None)
    if error:
        rest["err"] = error
    words = [f"\x1b[{_COLOURS[level]}m{at} {_NAMES[level]:5}\x1b[0m", _printable(rest.pop("msg"))]
    if "res" in rest:
        request = rest.pop("req")
        words += [str(rest.pop("res")["statusCode"]), request["method"], _printable(request["url"])]
        words.append(f"{rest.pop('responseTime'):.1f}ms")
    words += [f"{name}={_printable(_plain(value))}" for name, value in rest.items()]
    if stack:
        words.append("\n" + _printable(stack))
    return (" ".join(words) + "\n").encode("utf-8", "replace")


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else _encoder.encode(value).decode()


def _printable(text: str) -> str:
    # What clients send may hold escape sequences, and a terminal would obey them.
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)
