"""What a host is asked is answered by what is really there."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from roles.preflight.library import preflight_probe as probe
from tests.support.tls import make_ca

WAIT = 5.0


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/sick" else 200)
        self.end_headers()
        self.wfile.write(f"{self.path} of {self.headers['Host']}".encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        pass


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server on a port of its own."""
    with HTTPServer(("127.0.0.1", 0), _Answers) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def closed_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_listening_port_is_found_with_its_program() -> None:
    """The name is the one that the kernel shows; a connection is no listener."""
    me = Path("/proc/self/comm").read_text().strip()
    with serving() as port:
        assert me in probe.listeners()[str(port)]
    assert str(port) not in probe.listeners()


def test_an_open_port_differs_from_a_closed_one(closed_port: int) -> None:
    """Refused says that the host answers; anything else is told in words."""
    with serving() as port:
        assert probe.reached({"address": "127.0.0.1", "port": port}, WAIT) == "open"
    assert probe.reached({"address": "127.0.0.1", "port": closed_port}, WAIT) == "refused"
    assert probe.reached({"address": "256.0.0.1", "port": 1}, WAIT) not in {"open", "refused"}


def test_the_certificate_that_is_served_is_seen_as_it_is_on_disk(
    tmp_path: Path, closed_port: int
) -> None:
    """By its print; where no TLS is spoken there is none."""
    leaf = make_ca(tmp_path).issue(["localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf.certificate, leaf.key)
    der = ssl.PEM_cert_to_DER_cert(leaf.certificate.read_text())
    door = {"address": "127.0.0.1", "name": "localhost"}
    with serving(context) as port:
        assert probe.served({**door, "port": port}, WAIT) == hashlib.sha256(der).hexdigest()
        page = {**door, "port": port, "path": "/health", "tls": True}
        assert probe.answered(page, WAIT)["status"] == 200
    with serving() as port:
        assert probe.served({**door, "port": port}, WAIT) == ""
    assert probe.served({**door, "port": closed_port}, WAIT) == ""


def test_a_page_is_asked_for_by_its_name(closed_port: int) -> None:
    """Status and beginning of the answer; 0 and the reason when there is none."""
    page = {"address": "127.0.0.1", "name": "api.example.com", "path": "/ready"}
    with serving() as port:
        assert probe.answered({**page, "port": port}, WAIT) == {
            "status": 200,
            "text": "/ready of api.example.com",
        }
        assert probe.answered({**page, "port": port, "path": "/sick"}, WAIT)["status"] == 503
    none = probe.answered({**page, "port": closed_port}, WAIT)
    assert none["status"] == 0
    assert "refused" in none["text"]


def test_this_machine_tells_its_system_and_memory() -> None:
    """A name that cannot be resolved has no address, and that is no error."""
    assert probe.system()["ID"]
    assert probe.memory_mb() > 100
    assert probe.resolved("localhost") != []
    assert probe.resolved("nowhere.invalid") == []
