"""What systemd hears from the process, and sockets that outlive it."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.process import environment, serving

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: gtsd\r\nConnection: close\r\n\r\n"


class Manager:
    """The socket that NOTIFY_SOCKET names, and the datagrams that came."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        self._socket.settimeout(0)
        self._heard: list[str] = []

    def heard(self) -> list[str]:
        """All until now, in order."""
        while True:
            try:
                self._heard.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return self._heard[:]

    def close(self) -> None:
        """Nobody listens from here on."""
        self._socket.close()


@pytest.fixture
def manager() -> Iterator[Manager]:
    """In a folder with a short name, as these sockets need one."""
    with tempfile.TemporaryDirectory() as folder:
        manager = Manager(str(Path(folder) / "notify"))
        yield manager
        manager.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """What a ``.socket`` unit holds while its service comes and goes."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield listener


def test_the_manager_hears_ready_then_watchdog_then_stopping(
    shared_database_url: str, manager: Manager
) -> None:
    """The watchdog is fed from the first moment to the last, also while draining."""
    environ = environment(
        shared_database_url,
        NOTIFY_SOCKET=manager.path,
        WATCHDOG_USEC="200000",
        GTSD_DRAIN_DELAY="0.5",
    )
    with serving(environ) as served:
        served.wait_until(lambda: manager.heard().count("WATCHDOG=1") > 1)
        assert manager.heard()[0] == "READY=1"
        assert set(manager.heard()[1:]) == {"WATCHDOG=1"}
        served.signal()
        assert served.ended() == 0
        heard = manager.heard()
        assert heard.count("STOPPING=1") == 1
        assert heard[heard.index("STOPPING=1") + 1 :].count("WATCHDOG=1") >= 2


def test_a_socket_of_the_manager_loses_nobody_while_the_process_is_replaced(
    shared_database_url: str, listener: socket.socket
) -> None:
    """Those who come meanwhile wait in its queue, and all of them are answered by the next one."""
    environ = environment(shared_database_url)
    with ExitStack() as clients:
        statuses = clients.enter_context(_asking(listener))
        with serving(environ, listener=listener) as first:
            first.wait_until(lambda: len(statuses) > 20)
            first.signal()
            assert first.ended() == 0
        waiting = [_ask(listener) for _ in range(50)]
        with serving(environ, listener=listener) as second:
            assert [_status(client) for client in waiting] == [200] * 50
            # The address that it says is the one of the socket.
            ready = second.wait_for_line("ready")
            assert ready["addresses"] == [f"127.0.0.1:{listener.getsockname()[1]}"]
            clients.close()
    assert set(statuses) == {200}


def test_without_the_managers_socket_those_who_come_meanwhile_are_refused(
    shared_database_url: str,
) -> None:
    """The control: a port of the process's own goes away with it."""
    with serving(environment(shared_database_url)) as served:
        served.signal()
        assert served.ended() == 0
        with pytest.raises(ConnectionRefusedError):
            served.get("/healthz")


def _ask(listener: socket.socket) -> socket.socket:
    client = socket.create_connection(listener.getsockname(), timeout=20)
    client.sendall(REQUEST)
    return client


def _status(client: socket.socket) -> int:
    with client:
        return int(client.makefile("rb").readline().split()[1])


@contextmanager
def _asking(listener: socket.socket) -> Iterator[list[int]]:
    """Three clients that ask all the time, and what they were answered; 0 where they were not."""
    over = threading.Event()
    statuses: list[int] = []

    def ask() -> None:
        while not over.is_set():
            try:
                statuses.append(_status(_ask(listener)))
            except (OSError, IndexError):
                statuses.append(0)
            time.sleep(0.002)

    clients = [threading.Thread(target=ask) for _ in range(3)]
    for client in clients:
        client.start()
    try:
        yield statuses
    finally:
        over.set()
        for client in clients:
            client.join()
