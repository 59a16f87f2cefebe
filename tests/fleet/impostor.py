"""Runs as root on a host of the fleet, from standard input: stands where a server stands.

What the host's own programs send to a server is turned to this one instead, by a rule of the
host's firewall that goes when the script ends; so it is the real client with its real
configuration that has to notice. Only the standard library: a host has nothing else.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TypedDict

PATIENCE = 3.0
TABLE = "gtsd_impostor"
SSL_REQUEST, GSS_REQUEST = 80877103, 80877104


class Role(TypedDict):
    """Whom to play; ``identity`` is key and certificate in one PEM, or empty for plaintext."""

    protocol: str
    addresses: list[str]
    port: int
    identity: str
    # The host's own nft: another version stumbles over what that has written.
    nft: list[str]
    # What makes the client connect, where it does not by itself; run every second.
    stimulus: list[str]
    seconds: float


def play(role: Role) -> list[str]:
    """What each client that came did: ``trusted: …`` or ``refused: …``."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(1)
        port = server.getsockname()[1]
        opened = _open(role, port)
        try:
            _turn(role, port)
            return _meet(server, role)
        finally:
            subprocess.run([*role["nft"], "delete", "table", "ip", TABLE], check=False)
            subprocess.run([*role["nft"], *opened], check=False)


def _open(role: Role, port: int) -> list[str]:
    """Let the turned connections out, which the host's firewall takes for ones to another host.

    Gives what takes the rule away again.
    """
    chain = ["rule", "inet", "gtsd", "output"]
    rule = ["ip", "daddr", "127.0.0.1", "tcp", "dport", str(port), "accept"]
    command = [*role["nft"], "--echo", "--handle", "insert", *chain, *rule]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return ["delete", *chain, "handle", said.rsplit("handle ", 1)[1].split()[0]]


def _turn(role: Role, port: int) -> None:
    real = f"ip daddr {{ {', '.join(role['addresses'])} }} tcp dport {role['port']}"
    rules = (
        f"add table ip {TABLE}\n"
        f"add chain ip {TABLE} turn {{ type nat hook output priority -100; }}\n"
        f"add rule ip {TABLE} turn {real} dnat to 127.0.0.1:{port}\n"
        # Turned are new connections only; an old one ends at its next word, and comes again.
        f"add chain ip {TABLE} cut {{ type filter hook output priority -50; }}\n"
        f"add rule ip {TABLE} cut {real} reject with tcp reset\n"
    )
    subprocess.run([*role["nft"], "-f", "-"], input=rules, text=True, check=True)


def _meet(server: socket.socket, role: Role) -> list[str]:
    told: list[str] = []
    end = time.monotonic() + role["seconds"]
    while time.monotonic() < end and len(told) < 3:
        if role["stimulus"]:
            threading.Thread(target=_stimulate, args=(role["stimulus"],), daemon=True).start()
        try:
            client, _ = server.accept()
        except TimeoutError:
            continue
        with client:
            client.settimeout(PATIENCE)
            try:
                told.append(_greeted(client, role))
            except TimeoutError:
                told.append("silent")
            except (ssl.SSLError, OSError) as error:
                told.append(f"refused: {error}")
    return told


def _stimulate(command: list[str]) -> None:
    subprocess.run(command, check=False, capture_output=True, timeout=2 * PATIENCE)


def _greeted(client: socket.socket, role: Role) -> str:
    if role["protocol"] == "postgresql":
        asked = _request(client)
        if asked is None:
            return "refused: closed before a word"
        if asked not in {SSL_REQUEST, GSS_REQUEST}:
            return "trusted: it asked for no TLS"
        client.sendall(b"S" if role["identity"] else b"N")
    if not role["identity"]:
        return _said(client.recv(4096), b"\x16")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        identity = Path(folder) / "identity.pem"
        identity.write_text(role["identity"])
        context.load_cert_chain(identity)
    # HTTP/2 where the client wants it: a Go program may speak nothing else.
    context.set_alpn_protocols(["h2", "http/1.1"])
    with context.wrap_socket(client, server_side=True) as safe:
        # Some look at the name only after the handshake, and leave without a word.
        return _said(safe.recv(4096))


def _request(client: socket.socket) -> int | None:
    """PostgreSQL's first words, None for none; those for GSSAPI are declined, the next count."""
    code = None
    for _ in range(2):
        length_and_code = client.recv(8)
        if len(length_and_code) < 8:
            break
        code = int(struct.unpack("!ii", length_and_code)[1])
        if code != GSS_REQUEST:
            break
        client.sendall(b"N")
    return code


def _said(words: bytes, hello: bytes = b"") -> str:
    if not words:
        return "refused: closed"
    if hello and words.startswith(hello):
        return "refused: it speaks TLS alone"
    return f"trusted: {words[:60].decode(errors='replace')}"


def main(roles: list[Role]) -> None:
    """What came of each role as one line of JSON."""
    sys.stdout.write(json.dumps([play(role) for role in roles]))
