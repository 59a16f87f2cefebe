"""The folder of a run: who works in it, how that goes, and what has been."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, Final

from probe.errors import ProbeError

_BLOCK_BYTES: Final = 65_536


class Folder:
    """Paths of a run's files, and what can be read of them by anybody."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = path / "lock"
        self.state_file = path / "state.json"
        self.history = path / "history.jsonl"
        self.log = path / "log"

    def owner(self) -> int | None:
        """The id of the process that works here; None where there is none (any more)."""
        try:
            with self.lock.open("r+") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    # It holds the lock as long as it lives, and its id is in there; so the id
                    # cannot be that of another process that came later.
                    text = file.read()
                    return int(text) if text else None
        except FileNotFoundError:
            return None
        return None

    def state(self) -> dict[str, Any]:
        """What the client last said; raises ProbeError where it never said anything."""
        try:
            state: dict[str, Any] = json.loads(self.state_file.read_text())
        except FileNotFoundError:
            raise ProbeError(f"No outside client has run in {self.path}.") from None
        return state

    def rows(self, since: float | None = None) -> Iterator[dict[str, Any]]:
        """The requests that ended since, in that order; of a line in writing, nothing."""
        with self.history.open("rb") as file:
            if since is not None:
                _skip(file, since)
            for line in file:
                if line.endswith(b"\n"):
                    row: dict[str, Any] = json.loads(line)
                    if since is None or _ended(row) >= since:
                        yield row


def _ended(row: dict[str, Any]) -> float:
    return float(row["scheduled"] + row["seconds"])


def _skip(file: BinaryIO, since: float) -> None:
    """Go near the first request that ended since: a gate must not read hours of history."""
    size = file.seek(0, os.SEEK_END)
    back = _BLOCK_BYTES
    while back < size:
        file.seek(size - back)
        file.readline()
        start, line = file.tell(), file.readline()
        if line.endswith(b"\n") and _ended(json.loads(line)) < since:
            file.seek(start)
            return
        back *= 4
    file.seek(0)


class Working:
    """The folder of the process that runs: taken when made, until it ends."""

    def __init__(self, folder: Folder) -> None:
        """Raises ProbeError where another one works, or has worked, in it."""
        self.folder = folder
        folder.path.mkdir(parents=True, exist_ok=True)
        self._lock = self._take()
        if folder.history.exists():
            raise ProbeError(
                f"--folder {folder.path}: holds the history of an earlier run, which would be "
                "mixed with this one; name a folder of its own, such as dist/releases/1.4.0"
            )
        self._history = folder.history.open("w")

    def _take(self) -> IO[str]:
        file = self.folder.lock.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = self.folder.owner()
            file.close()
            raise ProbeError(
                f"--folder {self.folder.path}: process {owner} works in it; stop that one "
                "(probe stop --folder …) or name another folder"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        return file

    def keep(self, row: dict[str, Any]) -> None:
        """One more line of the history; readers see it after the next ``tell``."""
        self._history.write(json.dumps(row, separators=(",", ":")) + "\n")

    def tell(self, state: dict[str, Any]) -> None:
        """Replace state.json as a whole, once the history holds all that it counts."""
        self._history.flush()
        beside = self.folder.state_file.with_suffix(".new")
        beside.write_text(json.dumps({"pid": os.getpid(), "at": time.time(), **state}) + "\n")
        beside.replace(self.folder.state_file)

    def close(self) -> None:
        """Leave it to others."""
        self._history.close()
        self._lock.close()
