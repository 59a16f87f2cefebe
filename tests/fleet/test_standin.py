"""Nobody waits while an instance is restarted behind its stand-in, and a forgotten one ends."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fleet.machines.tested import TestedFleet

pytestmark = [pytest.mark.shape("small"), pytest.mark.timeout(300)]

_PLAIN = "systemctl restart gtsd-api@1"
_BEHIND = f"systemctl start gtsd-standin@1; {_PLAIN}; systemctl stop gtsd-standin@1"
# Each request on a connection of its own, twenty a second, however long those before them take.
_CLIENT = """
import http.client, json, sys, threading, time
took, failed = [], []
def call():
    began = time.monotonic()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", 3001, timeout=20)
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
    except Exception as error:
        failed.append(repr(error))
    took.append(time.monotonic() - began)
until, threads = time.monotonic() + float(sys.argv[1]), []
while time.monotonic() < until:
    threads.append(threading.Thread(target=call))
    threads[-1].start()
    time.sleep(0.05)
for thread in threads:
    thread.join()
print(json.dumps({"failed": failed, "longest": max(took), "requests": len(took)}))
"""

_ASK = """
import http.client
for _ in range(50):
    connection = http.client.HTTPConnection("127.0.0.1", 3001, timeout=20)
    connection.request("GET", "/ready")
    print(connection.getresponse().status)
"""


def longest_wait(fleet: TestedFleet, command: str, seconds: float = 14.0) -> float:
    """Of all who called the instance while the command was done; none of them may fail."""
    name = fleet.names("app")[0]
    words = [sys.executable, "-c", _CLIENT, str(seconds)]
    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(fleet.run_beside, name, words, timeout=60)
        time.sleep(1.0)
        fleet.host(name).run_expect([0], command)
        done = calling.result()
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["failed"] == []
    return float(told["longest"])


@pytest.fixture
def slow_start(fleet: TestedFleet) -> Iterator[None]:
    """An instance that takes three seconds longer to come, so that a busy machine hides nothing."""
    host, folder = fleet.host(fleet.names("app")[0]), "/run/systemd/system/gtsd-api@1.service.d"
    drop_in = "[Service]\\nExecStartPre=/usr/bin/sleep 3\\n"
    host.check_output(f"mkdir {folder} && printf '{drop_in}' > {folder}/slow.conf")
    host.check_output("systemctl daemon-reload")
    yield
    host.check_output(f"rm -r {folder} && systemctl daemon-reload")


@pytest.mark.usefixtures("slow_start")
def test_nobody_waits_for_a_restart_behind_a_stand_in(fleet: TestedFleet) -> None:
    """The control, the same restart without it: what arrives waits for the new process."""
    behind, plain = (longest_wait(fleet, command) for command in (_BEHIND, _PLAIN))
    assert behind < 1.5, f"{behind:.2f} s with, {plain:.2f} s without"
    assert plain > 3.0, f"{behind:.2f} s with, {plain:.2f} s without"


_BLOCKING = """
    pid=$(systemctl show -P MainPID gtsd-api@2)
    systemctl start --no-block gtsd-standin@2
    for _ in $(seq 200); do grep flags /proc/$pid/fdinfo/3; sleep 0.005; done | sort -u
    systemctl stop gtsd-standin@2.service 2>/dev/null
"""
_DROP_IN = "/run/systemd/system/gtsd-standin@.service.d/blocking.conf"


def _was_blocking(fleet: TestedFleet) -> bool:
    """Whether the running instance's socket was, while a stand-in came up."""
    host = fleet.host(fleet.names("app")[0])
    told = host.check_output("sh -c %s", _BLOCKING).split()[1::2]
    assert told, "the instance has no socket"
    return any(not int(flags, 8) & os.O_NONBLOCK for flags in told)


def test_a_stand_in_that_starts_never_blocks_the_instance(fleet: TestedFleet) -> None:
    """They share one socket; the control is systemd's default, with which accept() would wait."""
    host = fleet.host(fleet.names("app")[0])
    assert not _was_blocking(fleet)
    try:
        put = (
            f"mkdir -p $(dirname {_DROP_IN}) && printf '[Service]\\nNonBlocking=no\\n' >{_DROP_IN}"
        )
        host.check_output("sh -c %s", f"{put} && systemctl daemon-reload")
        assert _was_blocking(fleet)
    finally:
        host.check_output("sh -c %s", f"rm -r $(dirname {_DROP_IN}) && systemctl daemon-reload")
        # It may hang by now.
        host.check_output("systemctl restart gtsd-api@2.service")


def test_a_stand_in_that_ends_is_met_by_nobody(fleet: TestedFleet) -> None:
    """It takes no new connection from the first moment, so nobody is told that it is draining."""
    host = fleet.host(fleet.names("app")[0])
    host.run_expect([0], "systemctl start gtsd-standin@1")
    host.run_expect([0], "systemctl stop --no-block gtsd-standin@1")
    time.sleep(0.2)
    asked = fleet.run_beside(fleet.names("app")[0], [sys.executable, "-c", _ASK])
    assert asked.stdout.split() == ["200"] * 50, asked.stderr


def test_an_instance_that_runs_has_no_stand_in_after_a_run(fleet: TestedFleet) -> None:
    """One that a killed run forgot is ended by the next; nothing else changes."""
    name = fleet.names("app")[0]
    host = fleet.host(name)
    before = host.check_output("systemctl show -P MainPID gtsd-api@1 gtsd-api@2")
    host.run_expect([0], "systemctl start gtsd-standin@2")
    assert host.check_output("systemctl show -P RuntimeMaxUSec gtsd-standin@2") == "5min"
    play = fleet.play("site.yml", "--tags=gtsd")
    assert play.rc == 0, play.stdout[-3000:]
    assert play.changes == [f"{name}: gtsd : End stand-ins that nobody waits for"]
    assert not host.service("gtsd-standin@2").is_running
    assert host.check_output("systemctl show -P MainPID gtsd-api@1 gtsd-api@2") == before
