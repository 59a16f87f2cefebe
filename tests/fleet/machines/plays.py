"""Running a playbook against a fleet, exactly as an operator does, and reading how it went."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from tests.fleet.machines.places import ANSIBLE, PROJECT

_RECAP = re.compile(
    r"^(?P<host>\S+)\s+: ok=(?P<ok>\d+)\s+changed=(?P<changed>\d+)"
    r"\s+unreachable=(?P<unreachable>\d+)\s+failed=(?P<failed>\d+)",
    re.MULTILINE,
)
# While people use the service, hosts that all share the processor of this machine take it from
# them: more of them at a time are no sooner done.
_GENTLE = ("release.yml", "rollback.yml")
_GENTLE_FORKS = max(3, (os.cpu_count() or 1) + 1)
# Seconds after which a task works on its hosts.
_INTO_A_TASK = 0.5
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_RESULT = re.compile(
    r"^(?:TASK|RUNNING HANDLER) \[(?P<task>.*?)\] \*|^changed: \[(?P<host>[^\]]+)\]"
)


@dataclass(frozen=True)
class Play:
    """How a run of a playbook went."""

    rc: int
    stdout: str
    seconds: float

    @property
    def recap(self) -> dict[str, dict[str, int]]:
        """Ansible's counts by host."""
        return parse_recap(self.stdout)

    @property
    def changed(self) -> int:
        """Tasks that changed something, over all hosts."""
        return sum(counts["changed"] for counts in self.recap.values())

    @property
    def changes(self) -> list[str]:
        """The same, as `host: task`."""
        return parse_changes(self.stdout)


def parse_recap(output: str) -> dict[str, dict[str, int]]:
    """The counts at the end of a playbook's output; there are none if it never began."""
    found = {}
    for match in _RECAP.finditer(_COLOUR.sub("", output)):
        counts = match.groupdict()
        host = counts.pop("host")
        found[host] = {name: int(value) for name, value in counts.items()}
    return found


def parse_changes(output: str) -> list[str]:
    """What changed, and where."""
    task, found = "", []
    for line in _COLOUR.sub("", output).splitlines():
        match = _RESULT.match(line)
        if match and match["host"]:
            found.append(f"{match['host']}: {task}")
        elif match:
            task = match["task"]
    return found


def play(
    fleet: str,
    playbook: str,
    *arguments: str,
    show: bool = False,
    killed_after: float | None = None,
    killed_at: str = "",
    inventory: str = "inventories/rehearsal",
) -> Play:
    """Run a playbook of the project, with the rehearsal's inventory; ``show`` what it says.

    ``killed_after`` so many seconds it is as if the operator's machine lost its power: from the
    start, or from the task with ``killed_at`` in its name, into which it goes on a little at least.
    """
    command = [str(ANSIBLE / "ansible-playbook"), "-i", inventory, *arguments]
    # What runs this may have its own Python settings, which are not Ansible's.
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment = {**inherited, "GTSD_REHEARSAL": fleet, "PYTHONUNBUFFERED": "1"}
    if playbook in _GENTLE:
        environment.setdefault("ANSIBLE_FORKS", str(_GENTLE_FORKS))
    if killed_at:
        # A task's name is shown when it begins, and not with its first result.
        environment["ANSIBLE_DISPLAY_SKIPPED_HOSTS"] = "true"
    started = time.monotonic()
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        if show:
            sys.stdout.write(line)
            sys.stdout.flush()

    status = run_child(
        [*command, f"playbooks/{playbook}"], environment, hear, killed_after, killed_at
    )
    return Play(status, "".join(said), time.monotonic() - started)


def run_child(
    command: list[str],
    environment: dict[str, str],
    hear: Callable[[str], object] | None = None,
    killed_after: float | None = None,
    killed_at: str = "",
) -> int:
    """Run a program in the project's folder; with everything that it started, it ends with us."""
    process = subprocess.Popen(
        command,
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if hear else None,
        stderr=subprocess.STDOUT if hear else None,
        text=True,
        errors="replace",
        env=environment,
        start_new_session=True,
    )
    killer = threading.Timer(killed_after or _INTO_A_TASK, _kill, [process])
    awaited = killed_at
    if killed_after is not None and not awaited:
        killer.start()
    try:
        for line in process.stdout or ():
            if hear:
                hear(line)
            if awaited and line.startswith("TASK [") and awaited in line:
                awaited = ""
                killer.start()
        return process.wait()
    except BaseException:
        end(process)
        raise
    finally:
        killer.cancel()
        if process.stdout:
            process.stdout.close()


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def end(process: subprocess.Popen[str]) -> None:
    """End a program and what is in its session, if it still runs; it may clean up first."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
            return
