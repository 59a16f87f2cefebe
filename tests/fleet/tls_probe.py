"""Runs on a host of the fleet, from standard input: tries to be served, and says what came of it.

Only the standard library: a host has nothing else. A handshake proves little, since in TLS 1.3 a
server refuses a client's certificate after it; so each attempt asks for something, and waits.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import sys
import tempfile
from pathlib import Path
from typing import TypedDict

PATIENCE = 8.0


class Attempt(TypedDict):
    """What to try; no ``trust`` means plaintext, and certificate and key are one PEM, or empty."""

    protocol: str
    address: str
    port: int
    server_name: str
    trust: str
    identity: str


def outcome(attempt: Attempt) -> str:
    """``served: …``, ``refused: …``, ``silent`` or ``unreachable: …``."""
    try:
        raw = socket.create_connection((attempt["address"], attempt["port"]), timeout=PATIENCE)
    except OSError as error:
        return f"unreachable: {error}"
    with raw:
        try:
            return _asked(raw, attempt)
        except TimeoutError:
            return "silent"
        except (ssl.SSLError, OSError) as error:
            return f"refused: {error}"


def _asked(raw: socket.socket, attempt: Attempt) -> str:
    if not attempt["trust"]:
        return _answer(raw, attempt)
    if attempt["protocol"] == "postgresql":
        raw.sendall(struct.pack("!ii", 8, 80877103))
        if raw.recv(1) != b"S":
            return "refused: no TLS"
    context = ssl.create_default_context(cadata=attempt["trust"])
    # What Python 3.13 does by itself.
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if attempt["identity"]:
        with tempfile.TemporaryDirectory() as folder:
            identity = Path(folder) / "identity.pem"
            identity.write_text(attempt["identity"])
            context.load_cert_chain(identity)
    with context.wrap_socket(raw, server_hostname=attempt["server_name"]) as safe:
        return _answer(safe, attempt)


def _answer(connection: socket.socket, attempt: Attempt) -> str:
    """A plaintext question to a TLS port may be answered too: with a 400, or with an error."""
    if attempt["protocol"] == "http":
        name = attempt["server_name"].encode()
        connection.sendall(b"GET /version HTTP/1.1\r\nHost: " + name + b"\r\n\r\n")
        line = connection.recv(4096).split(b"\r\n")[0]
        served = line.startswith(b"HTTP/") and b" 400 " not in line
    elif attempt["protocol"] == "redis":
        connection.sendall(b"PING\r\n")
        line = connection.recv(4096).strip()
        served = line.startswith((b"+PONG", b"-NOAUTH", b"-NOPERM"))
    elif attempt["protocol"] == "pgbackrest":
        # The server speaks first, in TLS; in plaintext it would wait for ever.
        if not attempt["trust"]:
            connection.sendall(b"\r\n" * 8)
        line = connection.recv(4096).strip()
        served = line.startswith(b'{"name":"pgBackRest"')
    else:
        words = b"user\0gtsd_app\0database\0gtsd\0\0"
        connection.sendall(struct.pack("!ii", 8 + len(words), 196608) + words)
        line = connection.recv(4096)
        # R: it asks for the password. What pg_hba.conf has no line for is an E.
        served = line.startswith(b"R")
        line = line.replace(b"\0", b" ")
    told = line[:120].decode(errors="replace")
    return f"served: {told}" if served else f"refused: {told or 'closed'}"


def main(attempts: list[Attempt]) -> None:
    """The outcomes as one line of JSON."""
    sys.stdout.write(json.dumps([outcome(attempt) for attempt in attempts]))
