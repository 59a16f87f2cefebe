"""Who gets the processor when it is short: those that serve, before a trial and before people."""

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
# The same of somebody who is logged in, who forgets to end it, and in a service beside that.
_FOR_A_WHILE = "import time; end = time.time() + 30; all(time.time() < end for _ in iter(int, 1))"
_BESIDE = "gtsd-try-service.service"
_OVERRIDE = "/run/systemd/system.control/user.slice.d"


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


def _pid(host: Any, unit: str) -> str:
    return str(host.check_output(f"systemctl show -P MainPID {unit}"))


def _used(host: Any, pid: str) -> int:
    """In nanoseconds, by the process: not everywhere does the kernel count by unit."""
    return int(host.check_output(f"cat /proc/{pid}/schedstat").split()[0])


def _ratio(host: Any, pids: list[str]) -> float:
    """How many times as much the first has as the second."""
    before = [_used(host, pid) for pid in pids]
    time.sleep(_SECONDS)
    first, second = (_used(host, pid) - used for pid, used in zip(pids, before, strict=True))
    return first / second


def _share(host: Any, slices: dict[str, str]) -> float:
    """How many times as much the serving unit had as the one that is tried."""
    for unit in (SERVES, TRIES):
        more = [f"Slice={slices[unit]}"] if slices else []
        folder = f"/run/systemd/system/{unit}.d"
        write = f"mkdir -p {folder} && printf %s {shlex.quote(_drop_in(*more))} >{folder}/try.conf"
        host.check_output("sh -c %s", write)
    host.check_output("systemctl daemon-reload")
    host.check_output(f"systemctl start {SERVES} {TRIES}")
    return _ratio(host, [_pid(host, unit) for unit in (SERVES, TRIES)])


def test_a_trial_takes_what_those_that_serve_leave(app: Any) -> None:
    """Five to one, as their units say."""
    assert _share(app, {}) > 3


def test_in_slices_of_their_own_both_would_have_as_much(app: Any) -> None:
    """The control: so systemd has it for instances of a template."""
    slices = {SERVES: "system-tryserves.slice", TRIES: "system-trytries.slice"}
    assert 0.5 < _share(app, slices) < 2


@pytest.fixture
def session(app: Any) -> Iterator[tuple[Any, list[str]]]:
    """A service, and somebody logged in, who both want all of one processor."""
    run = f"systemd-run --unit={_BESIDE} -p CPUAffinity=0 {_BUSY}"
    app.check_output(run)
    busy = f'taskset -c 0 /usr/bin/python3 -c "{_FOR_A_WHILE}"'
    person = app.check_output("sh -c %s", f"nohup {busy} >/dev/null 2>&1 & echo $!")
    yield app, [_pid(app, _BESIDE), person]
    app.run(f"kill {person}; systemctl stop {_BESIDE}; rm -rf {_OVERRIDE}")


def test_people_and_plays_take_what_services_leave(session: tuple[Any, list[str]]) -> None:
    """Five to one, whatever an admin or a playbook does there."""
    host, pids = session
    assert "/user.slice/" in host.check_output(f"cat /proc/{pids[1]}/cgroup")
    assert _ratio(host, pids) > 3


def test_of_equal_weight_a_session_would_have_as_much(session: tuple[Any, list[str]]) -> None:
    """The control: so Debian has it."""
    host, pids = session
    host.check_output("systemctl set-property --runtime user.slice CPUWeight=100")
    assert 0.5 < _ratio(host, pids) < 2
