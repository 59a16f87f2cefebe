"""The throwaway folder: one drill at a time, and nothing of it left behind."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from gtsd.drill import messages
from gtsd.drill.errors import Cause, DrillError
from gtsd.drill.signals import undisturbed

# Nothing but this is ever deleted, whatever folder is given.
_NAME = "throwaway"
# For the WAL that is replayed, indexes that are read, and what the smoke test writes.
_SHARE = 0.1


class Place(NamedTuple):
    """Where things are while the drill runs."""

    folder: Path

    @property
    def data(self) -> Path:
        """The restored cluster."""
        return self.folder / "data"

    @property
    def tablespaces(self) -> Path:
        """Wherever they were, they come here: never to a path that the backup names."""
        return self.folder / "tablespaces"

    @property
    def spool(self) -> Path:
        """Where pgBackRest would keep WAL that it fetched ahead."""
        return self.folder / "spool"

    @property
    def socket(self) -> Path:
        """The only way in, closed to all other users."""
        return self.folder / "socket"

    @property
    def log(self) -> Path:
        """What PostgreSQL says."""
        return self.folder / "postgresql.log"

    @property
    def free(self) -> int:
        """Bytes that may still be written."""
        return shutil.disk_usage(self.folder).free

    def require(self, size: int, spare: int) -> None:
        """Raises DrillError where a database of ``size`` bytes would not fit."""
        needed = round(size * (1 + _SHARE)) + spare
        if self.free < needed:
            raise DrillError(
                Cause.DISK_FULL,
                f"the disk of {self.folder.parent} has {messages.megabytes(self.free)} free, and"
                f" the restore needs {messages.megabytes(needed)}: the database has"
                f" {messages.megabytes(size)}, the rest is for WAL and work",
            )


@contextmanager
def throwaway(folder: Path) -> Iterator[Place]:
    """Made empty, and gone at the end; what a killed drill left goes first. Raises DrillError."""
    try:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DrillError(
            Cause.PREPARE, f"the folder {folder} cannot be used: {error.strerror}"
        ) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DrillError(Cause.PREPARE, f"another drill runs in {folder}") from None
        place = Place(folder / _NAME)
        _empty(place.folder)
        try:
            for each in (place.folder, place.data, place.tablespaces, place.socket):
                each.mkdir(mode=0o700)
            yield place
        finally:
            with undisturbed():
                _empty(place.folder)
    finally:
        os.close(lock)


def _empty(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
