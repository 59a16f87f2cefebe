"""Programs that the tests of this folder start, signal and look for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

SERVICE = Path(__file__).parents[3] / "service"


def environment(**more: str) -> dict[str, str]:
    """That of a clean shell, with what a measured child has to know."""
    kept = {name: os.environ[name] for name in os.environ if name.startswith("COVERAGE_")}
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(SERVICE), **kept, **more}


def python(
    arguments: Sequence[str], environ: Mapping[str, str], cwd: Path | None = None
) -> subprocess.Popen[str]:
    """This interpreter, in a session of its own: signals to its group reach nobody else."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=dict(environ),
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def alive(pid: int) -> bool:
    """Whether the process does anything; one that only waits to be collected does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def family(pid: int) -> set[int]:
    """The process and all that came of it."""
    process = psutil.Process(pid)
    return {pid, *(child.pid for child in process.children(recursive=True))}


def until(condition: Callable[[], bool], seconds: float = 15) -> bool:
    """Whether it came true in that time."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.02)
    return True


def all_gone(pids: set[int], seconds: float = 15) -> bool:
    """Whether none of them is left after at most that time."""
    return until(lambda: not any(alive(pid) for pid in pids), seconds)
