"""What the addresses of the servers say: their hosts, whether those are near, and no password."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import psycopg2
from psycopg2.extensions import parse_dsn

SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SAFE_SSL_MODES: Final = SSL_MODES[3:]
# A parameter whose name holds one of these is a secret of its own: sslpassword, scram_client_key.
_SECRET_WORDS: Final = ("password", "secret", "scram")
MASK: Final = "***"


class Address(NamedTuple):
    """One server or, with several hosts, whichever of them answers."""

    scheme: str
    user: str
    password: str
    hosts: tuple[str, ...]
    """Names, IP addresses, or absolute paths of unix sockets."""
    ports: tuple[str, ...]
    database: str
    parameters: Mapping[str, str]

    @property
    def remote(self) -> tuple[str, ...]:
        """The hosts that are reached over a network."""
        return tuple(host for host in self.hosts if not is_local(host))

    def masked(self) -> str:
        """A URL to show to people: it names the place and holds no secret."""
        user = quote(self.user, safe="")
        password = f":{MASK}" if self.password else ""
        login = f"{user}{password}@" if user or password else ""
        shown = dict(self.parameters)
        if self.scheme in ("unix", "file"):
            place = self.hosts[0]
        elif self.scheme in ("smtp", "smtps"):
            place = _join(self.hosts[0], self.ports[0])
        elif all(host.startswith(("/", "@")) for host in self.hosts):
            place = f"/{quote(self.database)}"
            ports = {"port": ",".join(self.ports)} if any(self.ports) else {}
            shown = {"host": ",".join(self.hosts), **ports, **shown}
        else:
            pairs = zip(self.hosts, self.ports, strict=True)
            place = f"{','.join(_join(*pair) for pair in pairs)}/{quote(self.database)}"
        query = "&".join(
            f"{name}={MASK if _is_secret(name) else quote(value, safe='/,:')}"
            for name, value in shown.items()
        )
        return f"{self.scheme}://{login}{place}{'?' if query else ''}{query}"


def is_local(host: str) -> bool:
    """A unix socket or the loopback: what goes there never leaves the machine."""
    if host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def postgres_address(url: str) -> Address:
    """Reads it with libpq's own parser, so that it means here what it means to the driver.

    Raises ValueError with a sentence that holds no part of the value.
    """
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError("must be a URL that starts with postgresql:// or postgres://")
    try:
        parts = parse_dsn(url)
    except (psycopg2.ProgrammingError, ValueError):
        # libpq's own message quotes the value, which may be a piece of the password.
        raise ValueError(
            "cannot be read by libpq: percent-encode special characters in user and password,"
            " and use only libpq's parameters"
        ) from None
    database = parts.pop("dbname", "")
    host = parts.pop("host", "")
    # libpq ends the password at the first @ and begins the database at the first /: a password
    # that holds them would become the name of a host or of a database, which are shown.
    if url.count("@") > 1 or "@" in database:
        raise ValueError("has @ or / in user or password: write %40 and %2F for them")
    hosts = tuple((parts.get("hostaddr") or host).split(","))
    if not all(hosts):
        raise ValueError("must name each host, a unix socket by its folder: ?host=/run/postgresql")
    if not database:
        raise ValueError("must name the database: …/gtsd")
    mode = parts.get("sslmode", "prefer")
    if mode not in SSL_MODES:
        raise ValueError(f"must have one of these as sslmode: {', '.join(SSL_MODES)}")
    scheme, user, password = "postgresql", parts.pop("user", ""), parts.pop("password", "")
    ports = _ports(parts.pop("port", ""), len(hosts))
    return Address(scheme, user, password, hosts, ports, database, parts)


def redis_address(url: str) -> Address:
    """``redis://``, ``rediss://`` (TLS) or ``unix://``; raises ValueError, which quotes nothing."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(
            "is not a URL: percent-encode special characters in the password, and give the port"
            " as a number"
        ) from None
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("must start with redis://, rediss:// or unix://")
    if parts.fragment or "@" in parts.path or "@" in parts.query:
        raise ValueError("has # or / or ? in the password: write %23, %2F and %3F for them")
    parameters = {
        pair.partition("=")[0]: unquote(pair.partition("=")[2])
        for pair in parts.query.split("&")
        if pair
    }
    user = unquote(parts.username or "") or parameters.get("username", "")
    password = unquote(parts.password or "") or parameters.get("password", "")
    if parts.scheme == "unix":
        if not parts.path.startswith("/") or parts.path == "/":
            raise ValueError("must name the socket by an absolute path: unix:///run/redis/x.sock")
        return Address("unix", user, password, (parts.path,), ("",), "", parameters)
    if not parts.hostname:
        raise ValueError("must name a host")
    number = parts.path.strip("/")
    if number and not (number.isascii() and number.isdigit()):
        raise ValueError("must end with the number of the database, or with none: …:6379/0")
    shown_port = "" if port is None else str(port)
    return Address(
        parts.scheme, user, password, (parts.hostname,), (shown_port,), number, parameters
    )


def mail_address(url: str) -> Address:
    """``smtp://``, ``smtps://`` or, for a folder that keeps mails, ``file://`` and its path.

    The parameter ``ssl_ca_certs`` names a file of the CAs to trust instead of the system's. Raises
    ValueError, which quotes nothing.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(
            "is not a URL: percent-encode special characters in the password, and give the port"
            " as a number"
        ) from None
    parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if parts.scheme == "file":
        if parts.netloc or parts.query or parts.path.rstrip("/") == "":
            raise ValueError("must name the folder by an absolute path, after three slashes")
        return Address("file", "", "", (unquote(parts.path),), ("",), "", {})
    if parts.scheme not in ("smtp", "smtps"):
        raise ValueError("must start with smtp://, smtps:// or file://")
    if parts.fragment or "@" in parts.path or "@" in parts.query or parts.path.strip("/"):
        raise ValueError("has # or / or ? in the password: write %23, %2F and %3F for them")
    if not parts.hostname:
        raise ValueError("must name a host")
    if bool(user) != bool(password):
        raise ValueError("must have both user and password, or neither")
    if parameters.keys() - {"ssl_ca_certs"}:
        raise ValueError("has a parameter other than ssl_ca_certs")
    usual = "465" if parts.scheme == "smtps" else "587"
    given = usual if port is None else str(port)
    return Address(parts.scheme, user, password, (parts.hostname,), (given,), "", parameters)


def http_host(url: str) -> tuple[str, str]:
    """Scheme and host of an ``http(s)://`` URL without login, query or fragment.

    Raises ValueError, which quotes nothing.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a URL that starts with https:// or http://")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must hold no login, no query and no fragment")
    return parts.scheme, parts.hostname


def _ports(text: str, hosts: int) -> tuple[str, ...]:
    ports = text.split(",") if text else [""]
    if any(port and not (port.isascii() and port.isdigit()) for port in ports):
        raise ValueError("must give each port as a number; percent-encode : in the password")
    if len(ports) not in (1, hosts):
        raise ValueError("must give one port for all hosts, or one for each")
    return tuple(ports * hosts if len(ports) == 1 else ports)


def _join(host: str, port: str) -> str:
    bracketed = f"[{host}]" if ":" in host else quote(host, safe="")
    return f"{bracketed}:{port}" if port else bracketed


def _is_secret(name: str) -> bool:
    return any(word in name for word in _SECRET_WORDS)
