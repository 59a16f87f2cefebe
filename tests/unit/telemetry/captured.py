"""A log that writes to a pipe, and what came out of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from gtsd.telemetry.log import Log


class Captured:
    """A running log and everything that it wrote."""

    def __init__(self, make: Callable[[int], Log]) -> None:
        reading, self._writing = os.pipe()
        self._data = bytearray()
        self._reader = threading.Thread(target=self._read, args=(reading,))
        self._reader.start()
        self.log = make(self._writing)

    def _read(self, fd: int) -> None:
        with open(fd, "rb", buffering=0) as stream:
            while data := stream.read(65_536):
                self._data += data

    def raw(self) -> bytes:
        """All bytes, after closing the log."""
        self.close()
        return bytes(self._data)

    def so_far(self) -> bytes:
        """What arrived until now, with the log still open."""
        return bytes(self._data)

    def lines(self) -> list[dict[str, Any]]:
        """All lines, each of which must be one JSON object, after closing the log."""
        return [msgspec.json.decode(line) for line in self.raw().splitlines()]

    def line(self) -> dict[str, Any]:
        """The only one."""
        (line,) = self.lines()
        return line

    def close(self) -> None:
        """May be repeated."""
        assert self.log.close()
        if self._reader.is_alive():
            os.close(self._writing)
            self._reader.join()
