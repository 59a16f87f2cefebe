"""Who gets the processor when it is short: those that serve, before a release that is tried."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from typing import Any

import pytest

# Neither an instance nor a trial that anybody runs.
SERVES, TRIES = "gtsd-api@64.service", "gtsd-trial@64.service"
_BUSY = "/usr/bin/python3 -c 'while True: pass'"
_SECONDS = 4


def _drop_in(*more: str) -> str:
    """Busy in place of what the unit runs, on one processor, and in all else as the unit says."""
    lines = ["[Service]", "Type=exec", "Restart=no", "WatchdogSec=0", "CPUAffinity=0"]
    lines += ["EnvironmentFile=", "ExecStart=", f"ExecStart={_BUSY}", *more]
    return "\n".join(lines) + "\n"


@pytest.fixture
def app(fleet: Any) -> Iterator[Any]:
    """An app host, without the two units afterwards."""
    host = fleet.host(fleet.names("app")[0])
    yield host
    host.run(f"systemctl stop {SERVES} {TRIES} gtsd-api@64.socket")
    host.run(f"rm -rf /run/systemd/system/{SERVES}.d /run/systemd/system/{TRIES}.d")
    host.check_output("systemctl daemon-reload")


def _used(host: Any, unit: str) -> int:
    """In nanoseconds, by its process: not everywhere does the kernel count by unit."""
    pid = host.check_output(f"systemctl show -P MainPID {unit}")
    return int(host.check_output(f"cat /proc/{pid}/schedstat").split()[0])


def _share(host: Any, slices: dict[str, str]) -> float:
    """How many times as much the serving unit had as the one that is tried."""
    for unit in (SERVES, TRIES):
        more = [f"Slice={slices[unit]}"] if slices else []
        folder = f"/run/systemd/system/{unit}.d"
        write = f"mkdir -p {folder} && printf %s {shlex.quote(_drop_in(*more))} >{folder}/try.conf"
        host.check_output("sh -c %s", write)
    host.check_output("systemctl daemon-reload")
    host.check_output(f"systemctl start {SERVES} {TRIES}")
    before = {unit: _used(host, unit) for unit in (SERVES, TRIES)}
    time.sleep(_SECONDS)
    serves, tries = (_used(host, unit) - before[unit] for unit in (SERVES, TRIES))
    return serves / tries


def test_a_trial_takes_what_those_that_serve_leave(app: Any) -> None:
    """Five to one, as their units say."""
    assert _share(app, {}) > 3


def test_in_slices_of_their_own_both_would_have_as_much(app: Any) -> None:
    """The control: so systemd has it for instances of a template."""
    slices = {SERVES: "system-tryserves.slice", TRIES: "system-trytries.slice"}
    assert 0.5 < _share(app, slices) < 2
