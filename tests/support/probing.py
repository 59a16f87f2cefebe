"""The outside client as playbooks run it: a program, and what it leaves in its folder."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.process import ROOT

PROGRAM = ROOT / "roles/probe/files/probe"


def command(*arguments: str) -> list[str]:
    """As a playbook has it."""
    return [sys.executable, str(PROGRAM), *arguments]


def probe(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=50, check=False
    )


async def probe_meanwhile(*arguments: str) -> subprocess.CompletedProcess[str]:
    """As ``probe``, while a server of this process answers."""
    return await asyncio.to_thread(probe, *arguments)


def history(folder: Path) -> list[dict[str, Any]]:
    """All its requests; of a line in writing, nothing."""
    whole, _, _ = (folder / "history.jsonl").read_text().rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]


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
