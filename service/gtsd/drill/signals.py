"""SIGTERM and SIGINT end a drill in good order: as an error in it, never while it clears up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from gtsd.drill.errors import Cause, DrillError

_STOP: Final = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stopping() -> Iterator[None]:
    """The first signal raises DrillError wherever the drill is; those after it are not heard."""

    def stop(number: int, _: FrameType | None) -> None:
        for each in _STOP:
            signal.signal(each, signal.SIG_IGN)
        raise DrillError(Cause.STOPPED, f"it was stopped by {signal.Signals(number).name}")

    before = {number: signal.signal(number, stop) for number in _STOP}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """A signal waits until the enclosed is done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
