"""One JSON line an event in the shape of the deployment guide, or text on a terminal.

Everything goes by loguru: ``from loguru import logger`` where there is something to say, the
standard library's ``logging`` by interception, and ``request`` for the one line of a request.
Fields are given by ``logger.bind(rows=3).info("counted")``. What is not written in the code never
stands in the template: loguru would look for fields between its braces.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import msgspec
from loguru import logger

from gtsd.errors import ApiError, InternalError
from gtsd.telemetry.intercept import Interception
from gtsd.telemetry.lines import LEVELS, Shape, as_json, as_text
from gtsd.telemetry.redact import Redactor
from gtsd.telemetry.writer import Writer

if TYPE_CHECKING:
    from gtsd.settings import Settings

PROBES: Final = frozenset({"/healthz", "/ready", "/health", "/metrics"})
_LOGURU: Final = {
    "trace": "TRACE",
    "debug": "DEBUG",
    "info": "INFO",
    "warn": "WARNING",
    "error": "ERROR",
    "fatal": "CRITICAL",
}
_ERROR: Final = 50
# What takes the line of a request, by loguru's names of levels; empty while nothing is configured.
_DIRECT: Final[dict[str, Callable[[RequestRecord], None]]] = {}
_REQUEST_ID: ContextVar[str | None] = ContextVar("gtsd_request_id", default=None)


class RequestRecord(msgspec.Struct, kw_only=True):
    """What the one line of a request says. ``url`` is the path alone, without a query string."""

    id: str
    method: str
    url: str
    route: str
    status: int
    duration_s: float
    user_id: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    query: tuple[str, ...] = ()  # names of the parameters, never their values
    error: BaseException | None = None
    level: str | None = None  # a name of loguru's; None chooses by status, error and route
    at: float = msgspec.field(default_factory=time.time)  # when it was answered


def request(record: RequestRecord) -> None:
    """Write the one line of an answered request; cheap, never waits, never raises."""
    level = record.level or _level(record)
    direct = _DIRECT.get(level)
    if direct is not None:
        # Not through loguru, which looks at its caller's frame and the time: 15 µs a request.
        direct(record)
        return
    # As a keyword and not by bind(), which would copy the logger.
    logger.log(level, "request", request=record)


def set_request_id(request_id: str) -> None:
    """Put this id in every further line of the task at hand and of those it starts."""
    _REQUEST_ID.set(request_id)


def _level(record: RequestRecord) -> str:
    if record.status < 500:
        return "DEBUG" if record.route in PROBES else "INFO"
    if _is_expected(record):
        # A red readiness is asked for each second by every proxy, and says why elsewhere.
        return "DEBUG" if record.route in PROBES else "WARNING"
    return "ERROR"


def _is_expected(record: RequestRecord) -> bool:
    if record.error is None:  # Readiness and health answer 503 themselves.
        return record.status == 503
    return isinstance(record.error, ApiError) and not isinstance(record.error, InternalError)


class _Filter:
    """Writes the line and then refuses the record.

    A filter and not a sink, because loguru formats, copies and locks before it calls a sink: 4 µs
    a line for nothing that we use.
    """

    def __init__(self, shape: Shape, fd: int, *, pretty: bool) -> None:
        self._shape = shape
        self._encode = as_text if pretty else as_json
        self.writer = Writer(fd, self._lost, self._line_of_request)

    def __call__(self, record: Any) -> bool:
        level = LEVELS.get(record["level"].no, 30)
        answered = record["extra"].get("request")
        if isinstance(answered, RequestRecord):
            self.answered(answered, level)
        else:
            self._write(level, self._shape.event, record, _REQUEST_ID.get())
        return False

    def answered(self, record: RequestRecord, level: int) -> None:
        """The line of a request, which need not come through loguru; never raises."""
        if record.error is None and level < _ERROR:
            self.writer.write((record, level))
            return
        # At once: what an error refers to may be another thing by then.
        self._write(level, self._shape.request, record, level)

    def _write(self, level: int, shaped: Callable[..., Any], *told: Any) -> None:
        line, level = self._line(level, shaped, *told)
        self.writer.write(line, urgent=level >= _ERROR)

    def _line_of_request(self, told: tuple[RequestRecord, int]) -> bytes:
        record, level = told
        return self._line(level, self._shape.request, record, level)[0]

    def _line(self, level: int, shaped: Callable[..., Any], *told: Any) -> tuple[bytes, int]:
        try:
            return self._encode(shaped(*told)), level
        except Exception as error:  # noqa: BLE001 - a line that fails must not fail a request
            return self._failed(error), _ERROR

    def _failed(self, error: Exception) -> bytes:
        fields = self._shape.head(_ERROR)
        fields["msg"] = "a log line could not be written"
        fields["err"] = {"type": type(error).__name__}
        return self._encode(fields)

    def _lost(self, lost: int) -> bytes:
        fields = self._shape.head(LEVELS[30])
        fields["msg"] = "log lines were lost"
        fields["lost"] = lost
        return self._encode(fields)


class Log:
    """The running log; ``close`` writes what is queued and gives everything back."""

    def __init__(self, shape: Shape, fd: int, level: str, *, pretty: bool) -> None:
        logger.remove()
        written = _Filter(shape, fd, pretty=pretty)
        self._writer = written.writer
        self._handler: int | None = logger.add(
            _discard,
            filter=written,
            format=_no_format,
            level=level,
            backtrace=False,
            diagnose=False,  # would show the values of variables in tracebacks
            catch=False,  # loguru's own report of a failure would show the record unmasked
        )
        self._interception = Interception(logger.level(level).no)
        _DIRECT.clear()
        for name in ("DEBUG", "INFO", "WARNING", "ERROR"):
            number = logger.level(name).no
            shown = number >= logger.level(level).no
            _DIRECT[name] = partial(written.answered, level=LEVELS[number]) if shown else _discard
        atexit.register(self.close)

    @property
    def lost(self) -> int:
        """Lines that could not be written and are not yet reported."""
        return self._writer.lost

    def close(self, bound_s: float = 1.0) -> bool:
        """False when the reader of the log kept us waiting longer than the bound."""
        if self._handler is not None:
            atexit.unregister(self.close)
            _DIRECT.clear()
            logger.remove(self._handler)
            self._handler = None
            self._interception.undo()
        return self._writer.close(bound_s)


def configure(settings: Settings, fd: int = 1) -> Log:
    """Send all that is logged to the descriptor, standard output; to be called once a process."""
    # No terminal in production, even where somebody started it by hand: people grep for JSON.
    on_terminal = settings.app_env != "production" and os.isatty(fd)
    pretty = settings.log_format == "pretty" or (settings.log_format == "auto" and on_terminal)
    shape = Shape(Redactor(_secrets(settings)))
    return Log(shape, fd, _LOGURU[settings.log_level], pretty=pretty)


def _secrets(settings: Settings) -> Iterator[str]:
    for value in (
        settings.jwt_secret,
        settings.jwt_secret_previous,
        settings.s3_access_key_id,
        settings.s3_secret_access_key,
        settings.twilio_auth_token,
    ):
        if value:
            yield value
    for url in (settings.database_url, settings.redis_url, settings.smtp_url):
        written = urlsplit(url).password if url else None
        if written:
            yield written
            yield unquote(written)


def _no_format(_: object) -> str:
    return ""


def _discard(_: object) -> None:
    """Never called: the filter has written the line already."""
