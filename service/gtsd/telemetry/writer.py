"""Hands log lines to a file descriptor from a thread of its own.

Whoever logs only appends to a queue: a pipe that nobody reads, a full disk or a reader that went
away costs a request nothing. Lines that cannot be kept are counted, and the count is logged as
soon as lines get through again.

What is no line yet becomes one here: made one after the other, lines cost a quarter of what each
costs between two requests, which find the processor's caches full of something else.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

INTERVAL_S: Final = 0.05
CAPACITY_LINES: Final = 8_192
_CHUNK_LINES: Final = 512


class Writer:
    """Batches of lines: each 50 ms, or at once for one that is urgent."""

    def __init__(
        self, fd: int, notice: Callable[[int], bytes], line_of: Callable[[Any], bytes] = bytes
    ) -> None:
        """``notice`` makes the line that tells how many were lost, ``line_of`` that of a record.

        Neither may raise.
        """
        self._fd = fd
        self._notice = notice
        self._line_of = line_of
        self._lines: deque[Any] = deque()
        self._lost = 0
        self._arrived = threading.Event()
        self._due = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="gtsd-log", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Lines lost and not yet reported."""
        return self._lost

    def write(self, line: Any, *, urgent: bool = False) -> None:
        """Queue one line with its newline, or a record of one; never waits, never raises."""
        lines = self._lines
        if len(lines) >= CAPACITY_LINES:
            self._lost += 1
            return
        # Before the flags are read, which are cleared before the queue is: no line is left behind.
        lines.append(line)
        if not self._arrived.is_set():
            self._arrived.set()
        if urgent and not self._due.is_set():
            self._due.set()

    def close(self, bound_s: float = 1.0) -> bool:
        """Write what is queued; False when that took longer than the bound and was given up."""
        self._closing = True
        self._arrived.set()
        self._due.set()
        self._thread.join(bound_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._closing:
            self._arrived.wait()
            self._due.wait(INTERVAL_S)
            self._due.clear()
            if not self._lines:
                # Only after a while without: each thread that is woken takes the lock of Python.
                self._arrived.clear()
            self._drain()
        self._drain()

    def _drain(self) -> None:
        while self._lines:
            count = min(len(self._lines), _CHUNK_LINES)
            told = [self._lines.popleft() for _ in range(count)]
            chunk = [line if type(line) is bytes else self._line_of(line) for line in told]
            lost = self._lost
            if lost:
                chunk.append(self._notice(lost))
            try:
                self._send(b"".join(chunk))
            except OSError:  # EPIPE, ENOSPC, EBADF: there is nowhere to tell it but here
                self._lost += count
            else:
                self._lost -= lost

    def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:  # somebody made the descriptor non-blocking, a shell for one
                select.select([], [self._fd], [], 0.2)
                if self._closing and not select.select([], [self._fd], [], 0)[1]:
                    raise
