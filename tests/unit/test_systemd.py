"""The protocol between a service manager and us, with real sockets and real descriptors."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gtsd.systemd import Supervisor, SupervisorError

PID = 4711


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[socket.socket, str]]:
    """A socket that hears what a service says, and its address as the environment has it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        if request.param == "path":
            address = str(tmp_path_factory.mktemp("n") / "notify")
            ear.bind(address)
        else:
            address = f"@gtsd-test-{os.getpid()}"
            ear.bind(f"\0{address[1:]}")
        ear.settimeout(5)
        yield ear, address


def test_notices_arrive_as_they_were_said(manager: tuple[socket.socket, str]) -> None:
    """One datagram each, on a path and in the abstract namespace."""
    ear, address = manager
    supervisor = Supervisor.from_environ({"NOTIFY_SOCKET": address}, PID)
    for state in ("READY=1\nSTATUS=serving on 1 socket", "WATCHDOG=1", "STATUS=läuft"):
        supervisor.notify(state)
        assert ear.recv(4096) == state.encode()


def test_without_a_manager_nothing_is_said_or_expected() -> None:
    """As in a terminal or a container."""
    supervisor = Supervisor.from_environ({}, PID)
    assert supervisor == Supervisor()
    supervisor.notify("READY=1")
    assert supervisor.listen_sockets() == []
    assert supervisor.watchdog_interval() is None


def test_a_manager_that_is_gone_is_an_error(tmp_path: Path) -> None:
    """A readiness that nobody heard must not look like one that was."""
    supervisor = Supervisor.from_environ({"NOTIFY_SOCKET": str(tmp_path / "gone")}, PID)
    with pytest.raises(FileNotFoundError):
        supervisor.notify("READY=1")


def test_a_manager_that_does_not_read_costs_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop must not hang for ever on a full socket; shortened here."""
    monkeypatch.setattr("gtsd.systemd._SEND_TIMEOUT", 0.05)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "n"))
        supervisor = Supervisor(address=str(tmp_path / "n"))
        with pytest.raises(TimeoutError):
            for _ in range(100_000):
                supervisor.notify("WATCHDOG=1")


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(PID)}, 0.25),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_PID": str(PID)}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_needed(
    environ: dict[str, str], interval: float | None
) -> None:
    """If it is for this process at all."""
    assert Supervisor.from_environ(environ, PID).watchdog_interval() == interval


def test_the_variables_are_taken_out_of_the_environment() -> None:
    """A child that inherited them would take our sockets for its own."""
    environ = {
        "NOTIFY_SOCKET": "/run/n",
        "LISTEN_PID": "1",
        "LISTEN_FDS": "1",
        "LISTEN_FDNAMES": "api",
        "WATCHDOG_USEC": "1",
        "WATCHDOG_PID": "1",
        "PORT": "3000",
    }
    Supervisor.from_environ(environ, PID)
    assert environ == {"PORT": "3000"}


def test_sockets_for_another_process_are_not_ours() -> None:
    """A shell between systemd and us would have passed the variables on."""
    for pid in ("1", ""):
        environ = {"LISTEN_PID": pid, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"}
        assert Supervisor.from_environ(environ, PID).descriptors == 0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("NOTIFY_SOCKET", "vsock:2:1234"),
        ("WATCHDOG_USEC", "30s"),
        ("WATCHDOG_PID", "-1"),
        ("LISTEN_FDS", "two"),
        ("LISTEN_PID", "x"),
    ],
)
def test_what_is_not_of_the_protocol_is_refused(name: str, text: str) -> None:
    """With the name of the variable."""
    with pytest.raises(SupervisorError, match=f"^{name} must"):
        Supervisor.from_environ({"LISTEN_PID": str(PID), name: text}, PID)


# Plays the service: says what it got from descriptor 3 on, serves one client on the first.
SERVICE = """
import json, os, sys
from gtsd.systemd import Supervisor, SupervisorError
os.environ["LISTEN_PID"] = str(os.getpid())
supervisor = Supervisor.from_environ(os.environ)
name = sys.argv[1] if len(sys.argv) > 1 else None
try:
    sockets = supervisor.listen_sockets(name)
except SupervisorError as error:
    print(json.dumps({"error": str(error)}))
    sys.exit()
print(json.dumps({
    "descriptors": [s.fileno() for s in sockets],
    "names": [s.getsockname() for s in sockets],
    "inheritable": [s.get_inheritable() for s in sockets],
    "blocking": [s.getblocking() for s in sockets],
    "left": [name for name in os.environ if name.startswith("LISTEN_")],
}), flush=True)
if sockets:
    sockets[0].setblocking(True)
    client, _ = sockets[0].accept()
    client.sendall(b"hello")
    client.close()
for s in sockets:
    s.close()
"""


def serve(descriptors: list[int], *arguments: str, names: str = "") -> subprocess.Popen[str]:
    """Start the service with these descriptors as its 3, 4, …, as systemd does."""
    wiring = " ".join(f"{3 + n}<&{fd}" for n, fd in enumerate(descriptors))
    package = Path(sys.modules["gtsd"].__path__[0]).parent
    return subprocess.Popen(
        ["bash", "-c", f'exec "$@" {wiring}', "-", sys.executable, "-c", SERVICE, *arguments],
        env={
            "PYTHONPATH": str(package),
            "PATH": os.environ["PATH"],
            "LISTEN_FDS": str(len(descriptors)),
            "LISTEN_FDNAMES": names,
        },
        pass_fds=descriptors,
        stdout=subprocess.PIPE,
        text=True,
    )


def told(service: subprocess.Popen[str]) -> dict[str, Any]:
    """The line that the service says of its sockets."""
    assert service.stdout is not None
    answer: dict[str, Any] = json.loads(service.stdout.readline())
    return answer


@pytest.fixture
def listeners() -> Iterator[list[socket.socket]]:
    """Two sockets that listen on free ports, far above the first descriptors."""
    opened = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            # bash sends descriptors from 10 on through others when it wires them; stay clear.
            opened.append(socket.socket(fileno=_high(listener.fileno())))
    yield opened
    for listener in opened:
        listener.close()


def _high(descriptor: int) -> int:
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 100)


def test_sockets_are_taken_over_and_answer_clients(listeners: list[socket.socket]) -> None:
    """Both, in order; not inherited further, not blocking, and a client that waited is served."""
    with (
        socket.create_connection(listeners[0].getsockname()[:2], timeout=10) as client,
        serve([s.fileno() for s in listeners]) as service,
    ):
        answer = told(service)
        assert client.recv(100) == b"hello"
        assert service.wait(10) == 0
    assert answer == {
        "descriptors": [3, 4],
        "names": [list(s.getsockname()) for s in listeners],
        "inheritable": [False, False],
        "blocking": [False, False],
        "left": [],
    }


def test_a_socket_is_found_by_its_name(listeners: list[socket.socket]) -> None:
    """FileDescriptorName tells several sockets of one service apart."""
    descriptors = [s.fileno() for s in listeners]
    with (
        socket.create_connection(listeners[1].getsockname()[:2], timeout=10) as client,
        serve(descriptors, "metrics", names="api:metrics") as service,
    ):
        assert told(service)["descriptors"] == [4]
        assert client.recv(100) == b"hello"
    with serve(descriptors, "other", names="api:metrics") as service:
        assert told(service)["descriptors"] == []


def test_what_does_not_listen_is_refused(tmp_path: Path) -> None:
    """A file, a datagram socket, a stream socket that was only bound: each with its number."""
    with (
        (tmp_path / "file").open("w") as file,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.socket() as bound,
    ):
        datagrams.bind(("127.0.0.1", 0))
        bound.bind(("127.0.0.1", 0))
        for descriptor, why in [
            (file.fileno(), "is not a socket: "),
            (datagrams.fileno(), "does not listen for streams"),
            (bound.fileno(), "does not listen for streams"),
        ]:
            high = _high(descriptor)
            with serve([high]) as service:
                os.close(high)
                assert f"descriptor 3 of LISTEN_FDS {why}" in told(service)["error"]


def test_sockets_are_taken_over_in_this_process(
    listeners: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same without a second process, from other descriptors than 3."""
    first = listeners[0].fileno()
    monkeypatch.setattr("gtsd.systemd._FIRST_DESCRIPTOR", first)
    environ = {"LISTEN_PID": str(PID), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "api:metrics"}
    supervisor = Supervisor.from_environ(environ, PID)
    found = supervisor.listen_sockets("api")
    assert [s.getsockname() for s in found] == [listeners[0].getsockname()]
    assert found[0].detach() == first
    assert supervisor.listen_sockets("other") == []


def test_descriptors_that_are_none_are_refused_in_this_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A closed one, and one that does not listen."""
    monkeypatch.setattr("gtsd.systemd._FIRST_DESCRIPTOR", 9999)
    with pytest.raises(SupervisorError, match="descriptor 9999 .* not a socket"):
        Supervisor(descriptors=1).listen_sockets()
    with socket.socket() as bound:
        monkeypatch.setattr("gtsd.systemd._FIRST_DESCRIPTOR", bound.fileno())
        with pytest.raises(SupervisorError, match="does not listen"):
            Supervisor(descriptors=1).listen_sockets()
