"""Run migrations in a child, kill it at one point after the other, tell what a rerun made of it.

``python killer.py URL FOLDER POINTS DIRECTION``; a program of its own because it forks.

POINTS is ``statements`` (before each one that changes something), ``moments`` (at random),
``apart`` (as statements, with a runner that writes its ledger too late), or ``none`` (just run).
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gtsd.migrate import runner, schema
from gtsd.migrate.connection import Link
from gtsd.migrate.errors import MigrationError
from gtsd.migrate.files import Script

MOMENTS = 8


def say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def migrate(url: str, folder: Path, direction: str) -> None:
    options = runner.Options(say=say)
    if direction == "up":
        runner.up(url, folder, options=options)
    else:
        runner.down(url, folder, to=0, options=options)


def kill_before(number: int) -> Callable[[], None]:
    """Prepare the child to be killed before the change of that number (from 0)."""

    def prepare() -> None:
        original = Link.run
        left = number

        def run(self: Link, sql: str, *args: Any, **kwargs: Any) -> Any:
            nonlocal left
            if not sql.startswith(("SET", "\nSET", "SELECT")):
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1
            return original(self, sql, *args, **kwargs)

        Link.run = run  # type: ignore[method-assign]  # the child is killed there

    return prepare


def kill_after(seconds: float) -> Callable[[], None]:
    """Prepare the child to be killed by the kernel, wherever it is then."""

    def prepare() -> None:
        # SIGALRM without a handler ends a process as abruptly as SIGKILL.
        signal.setitimer(signal.ITIMER_REAL, seconds)

    return prepare


def ends(prepare: Callable[[], None], url: str, folder: Path, direction: str) -> int | None:
    """Run it in a child; the signal that ended it, None when it came to its end."""
    child = os.fork()
    if child == 0:
        try:
            prepare()
            migrate(url, folder, direction)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else None


def apart(self: Any, script: Script, record: runner.Record) -> None:
    """How it must not be: the row of the ledger after the commit."""
    self._limit()
    self.link.run("BEGIN")
    self._send(script, script.sql, line=1, patience=1.0)
    self.link.run("COMMIT")
    self.link.run(*record(0))


def points(kind: str, seconds: float) -> Iterator[tuple[float, Callable[[], None]]]:
    """The point and what prepares a child for it; statements go on until nothing is left."""
    if kind == "moments":
        moments = (random.uniform(0.001, seconds) for _ in range(MOMENTS))
        yield from ((moment, kill_after(moment)) for moment in moments)
    else:
        yield from ((number, kill_before(number)) for number in range(100))


def main(url: str, folder: Path, kind: str, direction: str) -> None:
    if kind == "none":
        return migrate(url, folder, direction)
    if kind == "apart":
        runner._Runner._transaction = apart  # type: ignore[method-assign]  # the negative control
    back = "down" if direction == "up" else "up"
    began = time.monotonic()
    migrate(url, folder, "up")
    seconds = time.monotonic() - began
    if direction == "down":
        migrate(url, folder, "down")
    wanted = schema.dump(url, os.environ)
    migrate(url, folder, back)
    for at, prepare in points(kind, seconds):
        ended = ends(prepare, url, folder, direction)
        if ended is None and kind != "moments":
            return None
        error = None
        try:
            migrate(url, folder, direction)
        except MigrationError as failure:
            error = str(failure)
        record = {"at": at, "signal": ended, "error": error, **found(url, wanted)}
        sys.stdout.write(json.dumps(record) + "\n")
        # What is still in the buffer, the next child would have as well.
        sys.stdout.flush()
        if error is not None:
            return None
        migrate(url, folder, back)
    return None


def found(url: str, wanted: str) -> dict[str, object]:
    with Link(url, "killer") as link:
        invalid = link.rows("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")
    return {"same": schema.dump(url, os.environ) == wanted, "invalid": [i for (i,) in invalid]}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4])
