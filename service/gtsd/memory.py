"""``gtsd memory``: asks a running unit what it keeps in memory, without a restart."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, TextIO

from gtsd.migrate.report import aligned
from gtsd.telemetry.memory import SIGNAL, TOLD

_OK: Final = 0
_FAILED: Final = 1
_SECONDS: Final = 60
_PATIENCE_S: Final = 20.0
_PAUSE_S: Final = 0.5


class MemoryRefused(Exception):
    """What an operator is told."""


def register(commands: Any) -> None:
    """Add the command with its options to the program's."""
    help_ = "tell what a running unit keeps in memory, without a restart"
    own = commands.add_parser("memory", help=help_, description=help_)
    own.add_argument("--unit", required=True, help="such as gtsd-api@1 or gtsd-worker")
    own.add_argument(
        "--seconds",
        type=int,
        default=_SECONDS,
        help=f"how long to watch ({_SECONDS}); the unit is slower meanwhile",
    )
    own.add_argument("--json", action="store_true", help="for programs")


def main(args: argparse.Namespace, out: TextIO, errors: TextIO) -> int:
    """Do what the parsed arguments say; returns the exit code."""
    try:
        told = _ask(args.unit, args.seconds)
    except (MemoryRefused, OSError, subprocess.SubprocessError) as error:
        errors.write(f"{error}\n")
        return _FAILED
    out.write((json.dumps(told, indent=2) if args.json else as_text(told)) + "\n")
    return _OK


def _ask(unit: str, seconds: int) -> dict[str, Any]:
    pid = int(_output("systemctl", "show", "--property=MainPID", "--value", unit) or 0)
    if pid == 0:
        raise MemoryRefused(f"{unit} does not run")
    if not catches(Path(f"/proc/{pid}/status").read_text()):
        raise MemoryRefused(f"{unit} runs a release that does not know the question; it would end")
    begun = time.time()
    os.kill(pid, SIGNAL)
    time.sleep(seconds)
    os.kill(pid, SIGNAL)
    ends = time.monotonic() + _PATIENCE_S
    while time.monotonic() < ends:
        time.sleep(_PAUSE_S)
        lines = _output("journalctl", "--output=cat", f"--since=@{int(begun)}", f"_PID={pid}")
        found = answers(lines.splitlines())
        if found:
            return found[-1]
    raise MemoryRefused(f"{unit} said nothing in its log; is its LOG_LEVEL above info?")


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603  # no shell; the unit's name is an argument
    return done.stdout.strip()


def catches(status: str) -> bool:
    """Whether a process has a handler for the signal, by what /proc says of it."""
    (mask,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (SIGNAL - 1) & 1)


def answers(lines: Iterable[str]) -> list[dict[str, Any]]:
    """What of a log's lines is an answer."""
    found = []
    for line in lines:
        if TOLD in line and line.startswith("{"):
            told = json.loads(line)
            if told.get("msg") == TOLD:
                found.append(told["memory"])
    return found


def as_text(told: dict[str, Any]) -> str:
    """For people: the sums, where it was asked for, and what there is most of."""
    head = (
        f"Within {told['seconds']} s memory was asked for of which {told['held_kb']} kB are held"
        f" (at most {told['most_kb']} kB). The process had {told['peak_rss_kb']} kB at its peak."
    )
    places = aligned(("kb", "blocks", "at"), told["places"])
    objects = aligned(("count", "kind"), told["objects"])
    return f"{head}\n\n{places}\n\n{objects}"
