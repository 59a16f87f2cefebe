"""The connection string: what the operator gave, what we add, and addresses in place of names."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Final

import psycopg2
from psycopg2 import extensions

_DEFAULTS: Final = {
    "application_name": "gtsd-api",
    "client_encoding": "UTF8",
    # Kerberos is not used, and looking for its tickets blocks the event loop.
    "gssencmode": "disable",
    # A peer that vanished is noticed after a minute of silence.
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}


def complete(dsn: str, connect_timeout: float) -> dict[str, str]:
    """The parameters of a DSN or URL, with ours where it says nothing.

    Raises ValueError for what libpq does not understand. Timeouts of statements are not set here:
    as ``options`` a pooler such as PgBouncer would refuse the connection.
    """
    try:
        given = extensions.parse_dsn(dsn)
    except psycopg2.ProgrammingError:
        # Its message quotes what it does not understand, which may be the password.
        raise ValueError("libpq does not understand the database's address") from None
    seconds = max(1, round(connect_timeout))
    return {
        **_DEFAULTS,
        "connect_timeout": str(seconds),
        # Bounds the wait for each host, too: an asynchronous connect ignores connect_timeout, and
        # would try a host that swallows packets for two minutes before it turns to the next.
        "tcp_user_timeout": str(seconds * 1000),
        **given,
    }


def host_count(parameters: dict[str, str]) -> int:
    """How many hosts are to be tried in turn."""
    return len((parameters.get("hostaddr") or parameters.get("host") or "").split(","))


async def resolved(parameters: dict[str, str]) -> str:
    """A DSN in which every host name has its addresses beside it.

    libpq would look names up itself and block the event loop meanwhile: five seconds and more when
    a name server is away. The names stay, for they are what ``verify-full`` compares with the
    certificate. Raises OSError when no name can be resolved.
    """
    hosts = parameters.get("host", "").split(",")
    if "hostaddr" in parameters or not any(map(_is_name, hosts)):
        return _dsn(parameters)
    ports = parameters.get("port", "").split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    if len(ports) != len(hosts):
        return _dsn(parameters)  # libpq says it best
    found: list[tuple[str, str, str]] = []
    failure: OSError | None = None
    for host, port in zip(hosts, ports, strict=True):
        try:
            found += [(host, address, port) for address in await _addresses(host)]
        except OSError as error:
            failure = error  # as libpq does, go on with the next host
    if failure is not None and not found:
        raise failure
    names, addresses, numbers = (",".join(column) for column in zip(*found, strict=True))
    return _dsn({**parameters, "host": names, "hostaddr": addresses, "port": numbers})


def _dsn(parameters: dict[str, str]) -> str:
    return extensions.make_dsn(**parameters)


def _is_name(host: str) -> bool:
    if not host or host.startswith(("/", "@")):
        return False  # a unix socket
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False


async def _addresses(host: str) -> list[str]:
    if not _is_name(host):
        return [""]  # libpq then takes the host as it is
    answers = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))
