"""The doors of an app host: who comes in, whom they lead to, and what a reload leaves alone."""

from __future__ import annotations

import shlex
import time

import pytest

from tests.fleet.machines.tested import TestedFleet
from tests.fleet.test_redis import until_one_master

LEAF = "/etc/gtsd/pki/haproxy"
# Asks for the cache's master by the door, on a new connection each time, and counts.
WRITER = """
import socket, ssl, sys, time
trust = ssl.create_default_context(cafile='/etc/gtsd/pki/ca.pem')
def write(password):
    with socket.create_connection(('127.0.0.1', 6380), 1) as raw:
        raw.settimeout(1)
        with trust.wrap_socket(raw, server_hostname='cache.gtsd.internal') as door:
            door.sendall(f'AUTH app {password}\\r\\nSET gtsd:try 1 EX 60\\r\\n'.encode())
            told = b''
            while told.count(b'\\r\\n') < 2:
                told += door.recv(100) or b'-closed\\r\\n' * 2
            return told == b'+OK\\r\\n+OK\\r\\n'
done, longest, since = 0, 0.0, time.monotonic()
end = since + float(sys.argv[2])
while time.monotonic() < end:
    try:
        fine = write(sys.argv[1])
    except OSError:
        fine = False
    if fine:
        done, longest, since = done + 1, max(longest, time.monotonic() - since), time.monotonic()
    time.sleep(0.05)
print(done, max(longest, time.monotonic() - since))
"""
# One connection that stays, by the same door.
STAYER = """
import socket, ssl, sys, time
trust = ssl.create_default_context(cafile='/etc/gtsd/pki/ca.pem')
raw = socket.create_connection(('127.0.0.1', 6380), 5)
door = trust.wrap_socket(raw, server_hostname='cache.gtsd.internal')
door.sendall(f'AUTH app {sys.argv[1]}\\r\\n'.encode())
assert door.recv(9) == b'+OK\\r\\n'
for _ in range(40):
    door.sendall(b'PING\\r\\n')
    assert door.recv(9) == b'+PONG\\r\\n'
    time.sleep(0.1)
print('stayed')
"""


def connect(fleet: TestedFleet, app: str, leaf: str) -> str:
    """What a client with the certificate of a leaf of the host gets from the first API's door."""
    shown = f"-cert /etc/gtsd/pki/{leaf}/cert.pem -key /etc/gtsd/pki/{leaf}/key.pem" if leaf else ""
    request = "GET /healthz HTTP/1.1\\r\\nHost: api\\r\\nConnection: close\\r\\n\\r\\n"
    told: str = (
        fleet.host(app)
        .run(
            f"(printf '{request}'; sleep 2) | timeout 10 openssl s_client -quiet -verify_quiet"
            f" -CAfile /etc/gtsd/pki/ca.pem {shown} -connect {fleet.address(app)}:8441"
        )
        .stdout
    )
    return told


def test_only_the_edge_comes_in_at_the_apis_door(fleet: TestedFleet) -> None:
    """A certificate of our CA is not enough: it must be that of a service that calls the API."""
    app = fleet.names("app")[0]
    assert "200 OK" in connect(fleet, app, "nginx")
    for leaf in ("haproxy", "redis", ""):
        assert "HTTP/1.1" not in connect(fleet, app, leaf), leaf


def test_the_doors_of_data_are_on_the_loopback(fleet: TestedFleet) -> None:
    """And nowhere else."""
    host = fleet.host(fleet.names("app")[0])
    for port in (5433, 6380):
        assert host.socket(f"tcp://127.0.0.1:{port}").is_listening
        assert not host.socket(f"tcp://{fleet.address(fleet.names('app')[0])}:{port}").is_listening


def test_a_reload_cuts_no_connection(fleet: TestedFleet) -> None:
    """One that was made before it goes on; the control is a restart, which cuts it."""
    host = fleet.host(fleet.names("app")[0])
    password = fleet.secrets["redis_app_password"]
    stay = f"python3 -c {shlex.quote(STAYER)} {password}"
    for verb, stays in (("reload", True), ("restart", False)):
        told = host.run(
            f"({stay}) >/tmp/gtsd-stay 2>&1 & sleep 1; systemctl {verb} haproxy; wait;"
            " cat /tmp/gtsd-stay; rm /tmp/gtsd-stay"
        )
        assert ("stayed" in told.stdout) == stays, (verb, told.stdout)


def test_its_password_is_for_root_and_itself(fleet: TestedFleet) -> None:
    """The one by which it asks Redis."""
    found = fleet.host(fleet.names("app")[0]).file("/etc/haproxy/haproxy.cfg")
    assert (found.user, found.group, found.mode) == ("root", "haproxy", 0o640)


@pytest.mark.shape("full")
def test_the_cache_is_back_within_ten_seconds_of_losing_its_master(fleet: TestedFleet) -> None:
    """Writes by the door go on at the new master; the old one, back again, gets none."""
    master = until_one_master(fleet, 2)
    host = fleet.host(fleet.names("app")[0])
    password = fleet.secrets["redis_app_password"]
    host.check_output(
        f"systemd-run --quiet --unit=gtsd-try --property=StandardOutput=file:/tmp/gtsd-try"
        f" python3 -c {shlex.quote(WRITER.replace('%', '%%'))} {password} 30"
    )
    time.sleep(2)
    fleet.pull_plug(master)
    time.sleep(32)
    done, longest = host.check_output("cat /tmp/gtsd-try; rm /tmp/gtsd-try").split()
    fleet.power_on(master)
    until_one_master(fleet, 2)
    assert int(done) > 50
    assert float(longest) < 10
