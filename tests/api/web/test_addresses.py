"""Which address a request is taken to come from: limits, sessions and the log depend on it."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from ipaddress import ip_network
from pathlib import Path

import psycopg2
import pytest

from gtsd.web.headers import client_address
from tests.api.conftest import Running, Start
from tests.api.web.wires import Wire
from tests.support.client import PASSWORD


async def _address_of(service: Running, **headers: str) -> str:
    """What the service holds for the address of a client that sends these headers."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    person = await service.person()
    signed_in = await service.client.post(
        "/auth/login", {"email": person.user["email"], "password": PASSWORD}, headers=given
    )
    assert signed_in.status == 200, signed_in.body
    return await asyncio.to_thread(
        _last_address, service.deps.settings.database_url, person.user["id"]
    )


def _last_address(url: str, user_id: int) -> str:
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT host(address) FROM sessions WHERE user_id = %s ORDER BY id DESC LIMIT 1",
                (user_id,),
            )
            row = cursor.fetchone()
    finally:
        connection.close()
    assert row is not None
    return str(row[0])


LOCAL = ("127.0.0.1/32",)
CHAIN = ("127.0.0.1/32", "10.0.0.0/8", "fd00::/8")


@pytest.mark.parametrize(
    ("trusted", "forwarded", "address"),
    [
        (LOCAL, "203.0.113.7", "203.0.113.7"),
        (LOCAL, "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        (LOCAL, "203.0.113.7, 10.1.2.3", "10.1.2.3"),
        (CHAIN, "203.0.113.7, 10.1.2.3", "203.0.113.7"),
        (CHAIN, "198.51.100.1, 203.0.113.7, 10.1.2.3,fd00::9", "203.0.113.7"),
        (CHAIN, "10.9.9.9, 10.1.2.3", "10.9.9.9"),
        (CHAIN, "spoofed, 10.1.2.3", "10.1.2.3"),
        (LOCAL, "not an address", "127.0.0.1"),
        (LOCAL, "", "127.0.0.1"),
        (LOCAL, "2001:db8::7", "2001:db8::7"),
        (LOCAL, "::ffff:203.0.113.7", "203.0.113.7"),
        (LOCAL, "fe80::1%eth0", "fe80::1"),
        ((), "203.0.113.7", "127.0.0.1"),
        (("10.0.0.0/8",), "203.0.113.7", "127.0.0.1"),
    ],
)
async def test_the_client_is_the_nearest_address_that_is_no_proxy_of_ours(
    start: Start, trusted: tuple[str, ...], forwarded: str, address: str
) -> None:
    """What a client writes into the header itself stands further left and is not looked at."""
    service = await start(trusted_proxies=trusted)
    assert await _address_of(service, X_Forwarded_For=forwarded) == address


async def test_no_other_header_tells_where_a_request_comes_from(start: Start) -> None:
    """Nor who sent it (fault 1)."""
    service = await start(trusted_proxies=LOCAL)
    named = {"X_Real_IP": "203.0.113.7", "Forwarded": "for=203.0.113.7", "X_User_Id": "1"}
    assert await _address_of(service, **named) == "127.0.0.1"


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("::ffff:127.0.0.1", "203.0.113.7"),
        ("::ffff:192.0.2.9", "192.0.2.9"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_a_socket_for_both_families_tells_proxies_as_well(peer: str, address: str) -> None:
    """It shows IPv4 addresses in a spelling of IPv6, as sockets of systemd do by default."""
    assert client_address(peer, "203.0.113.7", [ip_network("127.0.0.1/32")]) == address


async def test_who_comes_by_a_unix_socket_is_on_this_machine(service: Running) -> None:
    """Such a peer has no address at all, and is believed like a proxy on 127.0.0.1."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "gtsd.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        listener.settimeout(0)
        service.api.serve([listener])  # which closes it
        wire = Wire(*await asyncio.open_unix_connection(path))
        for forwarded in (b"", b"X-Forwarded-For: 203.0.113.7\r\n"):
            # Limited by address, so it must have one.
            await wire.send(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n" + forwarded + b"\r\n")
            answer = await wire.answer()
            assert answer.status == 200
            assert "ratelimit-remaining" in answer.headers
        await wire.close()
