"""SIGTERM and SIGINT end a drill in good order: as an error in it, never while it clears up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from psycopg2 import extensions
from psycopg2.extras import wait_select

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
    waited = extensions.get_wait_callback()
    # By itself psycopg2 waits for an answer in C, and hears no signal meanwhile.
    extensions.set_wait_callback(wait_select)
    try:
        yield
    finally:
        extensions.set_wait_callback(waited)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """A signal waits until the enclosed is done."""
    heard: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        heard.append(number)

    # Not by a mask: that is of one thread, and the kernel would give the signal to another one.
    before = {number: signal.signal(number, note) for number in _STOP}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if heard:
            signal.raise_signal(heard[0])
