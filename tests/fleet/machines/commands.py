"""Running programs, and saying what is being done."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Refused(Exception):
    """What is wrong, in sentences for who runs the rehearsal."""


def say(text: str) -> None:
    """One line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def run(*command: str | Path, stdin: str | None = None, env: dict[str, str] | None = None) -> str:
    """What a program prints; if it fails, the error holds what it said."""
    words = [str(word) for word in command]
    environment = {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}
    result = subprocess.run(
        words,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if result.returncode:
        said = (result.stderr or result.stdout).strip()[-1500:]
        raise Refused(f"`{' '.join(words)}` failed with status {result.returncode}: {said}")
    return result.stdout


def attempt(*command: str | Path) -> bool:
    """Whether a program succeeds; what it says is of no interest."""
    words = [str(word) for word in command]
    quiet = subprocess.DEVNULL
    return not subprocess.run(
        words, stdin=quiet, stdout=quiet, stderr=quiet, check=False
    ).returncode


def wait(condition: Callable[[], bool], within: float) -> bool:
    """Whether something becomes true in time."""
    ends = time.monotonic() + within
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time; the lock ends with its holder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_private(path: Path, text: str) -> None:
    """A file that is never readable for others, not even while it is written."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)
