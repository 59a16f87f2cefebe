"""Sends what other people's code says, by ``logging``, warnings and hooks, through loguru."""

from __future__ import annotations

import logging
import sys
import threading
import time
from types import TracebackType
from typing import Any, Final

from loguru import logger

from gtsd.telemetry.redact import safely

# Say the same thing again and again while a server is away; once a minute is enough.
CHATTY: Final = ("opentelemetry",)
QUIET_S: Final = 60.0
# At debug these show requests with their signatures and headers, or every timer of the loop.
_NEVER_BELOW_INFO: Final = ("asyncio", "boto3", "botocore", "s3transfer", "urllib3")
# At any level it quotes the arguments of jobs; what it would tell is told by gtsd.jobs.
_NEVER: Final = ("procrastinate",)
# At info it quotes what is no HTTP: parts of bodies, or headers with their values.
_NEVER_BELOW_WARNING: Final = ("tornado.general",)

_LEVELS: Final = ((50, "CRITICAL"), (40, "ERROR"), (30, "WARNING"), (20, "INFO"), (10, "DEBUG"))


class ToLoguru(logging.Handler):
    """The only handler of the root logger."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, int], float] = {}
        self._unsaid: dict[tuple[str, int], int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        extra: dict[str, Any] = {"logger": record.name}
        if record.name.partition(".")[0] in CHATTY:
            held_back = self._held_back(record)
            if held_back is None:
                return
            if held_back:
                extra["repeated"] = held_back
        level = next((name for number, name in _LEVELS if record.levelno >= number), "TRACE")
        # Arguments may be wrong for the template, or fail to be shown; then say the template.
        template = safely(str, record.msg)
        text = safely(logging.LogRecord.getMessage, record, instead=template)
        if record.stack_info:
            text = f"{text}\n{record.stack_info}"
        logger.bind(**extra).opt(exception=record.exc_info).log(level, text)

    def _held_back(self, record: logging.LogRecord) -> int | None:
        """None to say nothing; else how often this line was held back since it was last said."""
        place = (record.name, record.lineno)
        now = time.monotonic()
        if now - self._said.get(place, -QUIET_S) < QUIET_S:
            self._unsaid[place] = self._unsaid.get(place, 0) + 1
            return None
        self._said[place] = now
        return self._unsaid.pop(place, 0)


class Interception:
    """Everything redirected, and how it was before."""

    def __init__(self, level: int) -> None:
        """``level`` is the least severe number of ``logging`` that is wanted."""
        self._handler = ToLoguru()
        root = logging.getLogger()
        self._before = (root.handlers[:], root.level, sys.excepthook, threading.excepthook)
        floors = dict.fromkeys(_NEVER_BELOW_INFO, logging.INFO)
        floors |= dict.fromkeys(_NEVER_BELOW_WARNING, logging.WARNING)
        floors |= dict.fromkeys(_NEVER, logging.CRITICAL + 1)
        self._levels = {name: logging.getLogger(name).level for name in floors}
        root.handlers[:] = [self._handler]
        root.setLevel(level)
        for name, floor in floors.items():
            logging.getLogger(name).setLevel(max(level, floor))
        logging.captureWarnings(capture=True)
        sys.excepthook = _uncaught
        threading.excepthook = _uncaught_in_thread

    def undo(self) -> None:
        """Put back what was there, so that tests do not see each other's logs."""
        root = logging.getLogger()
        root.handlers[:], level, sys.excepthook, threading.excepthook = self._before
        root.setLevel(level)
        for name, before in self._levels.items():
            logging.getLogger(name).setLevel(before)
        logging.captureWarnings(capture=False)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logger.opt(exception=(kind, error, trace)).critical("uncaught exception, the process ends")


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit:
        return
    value = args.exc_value or args.exc_type()
    name = args.thread.name if args.thread is not None else "unknown"
    logger.opt(exception=(args.exc_type, value, args.exc_traceback)).bind(thread=name).error(
        "uncaught exception in a thread"
    )
