"""The outside client as playbooks run it: a program, and what it leaves in its folder."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.process import ROOT

PROGRAM = ROOT / "roles/probe/files/probe"
# What the database has of the client's writes, a text a row.
KEPT_WRITES = (
    "SELECT title FROM tasks WHERE title LIKE 'probe %'"
    " UNION ALL SELECT data->>'text' FROM evidence WHERE data->>'text' LIKE 'probe %'"
)


def command(*arguments: str) -> list[str]:
    """As a playbook has it."""
    return [sys.executable, str(PROGRAM), *arguments]


def probe(*arguments: str, behind: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run it to its end, ``behind`` another command where one is to start it."""
    return subprocess.run(
        [*behind, *command(*arguments)], capture_output=True, text=True, timeout=50, check=False
    )


async def probe_meanwhile(*arguments: str) -> subprocess.CompletedProcess[str]:
    """As ``probe``, while a server of this process answers."""
    return await asyncio.to_thread(probe, *arguments)


def history(folder: Path) -> list[dict[str, Any]]:
    """All its requests; of a line in writing, nothing."""
    whole, _, _ = (folder / "history.jsonl").read_text().rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]


def unaccounted(folder: Path, kept_writes: Callable[[], Iterable[str]]) -> dict[str, int]:
    """Confirmed writes that are not in the database exactly once, and how often they are.

    The database is asked by ``kept_writes``, and last: the client may go on, and what it is told
    after that question is not in the answer.
    """
    confirmed = [row["write"] for row in history(folder) if row["write"] and row["reason"] is None]
    assert confirmed
    kept = Counter(text.removeprefix("probe ") for text in kept_writes())
    return {write: kept[write] for write in confirmed if kept[write] != 1}


def state(folder: Path) -> dict[str, Any]:
    """What it said last."""
    found: dict[str, Any] = json.loads((folder / "state.json").read_text())
    return found


@contextmanager
def watching(folder: Path, *arguments: str) -> Iterator[Callable[..., Any]]:
    """Started in the background; gives its gate, and is stopped at the end if it still runs."""
    started = probe("start", f"--folder={folder}", *arguments)
    assert started.returncode == 0, started.stderr
    try:
        yield lambda *more: probe("gate", f"--folder={folder}", *more)
    finally:
        probe("stop", f"--folder={folder}")
