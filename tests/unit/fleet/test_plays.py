"""What is read out of a playbook's output, and how its process ends."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from tests.fleet.machines.plays import Play, run_child
from tests.support.scan import read_ports

_OUTPUT = """
PLAY [Everything] ******

TASK [base : Write the firewall] ******
changed: [db1]
ok: [db2]

RUNNING HANDLER [base : Reload the firewall] ******
changed: [db1] => (item=x)

PLAY RECAP ******
\x1b[0;33mdb1\x1b[0m           : ok=12   changed=2    unreachable=0    failed=0    skipped=3
db2                        : ok=9    changed=0    unreachable=1    failed=0    skipped=3
"""


def test_a_run_tells_what_it_changed_and_where() -> None:
    """Colours and items of loops do not hide it."""
    play = Play(0, _OUTPUT, 1.0)
    assert play.recap["db1"] == {"ok": 12, "changed": 2, "unreachable": 0, "failed": 0}
    assert play.recap["db2"]["unreachable"] == 1
    assert play.changed == 2
    assert play.changes == ["db1: base : Write the firewall", "db1: base : Reload the firewall"]


def test_a_run_that_never_began_has_no_recap() -> None:
    """A broken inventory is not mistaken for nothing to do."""
    assert Play(4, "ERROR! no hosts", 0.1).recap == {}


def test_what_a_child_started_ends_with_it() -> None:
    """Ansible has a process for each host, and SSH under each of them."""
    pids: list[int] = []
    code = (
        "import subprocess, sys, time; "
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
        "print(p.pid, flush=True); time.sleep(60)"
    )

    def interrupt(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_child([sys.executable, "-c", code], dict(os.environ), interrupt)
    ends = time.monotonic() + 10
    while _lives(pids[0]) and time.monotonic() < ends:
        time.sleep(0.05)
    assert not _lives(pids[0])


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_ports_are_read_as_they_are_written() -> None:
    """Single ones and ranges, both ends included."""
    assert read_ports("22,8441-8443") == [22, 8441, 8442, 8443]
