"""Connections to the API, each in our hands: none is opened, kept or tried again unseen."""

from __future__ import annotations

import ssl
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from httpcore2 import (
    AnyIOBackend,
    AsyncHTTP2Connection,
    AsyncHTTP11Connection,
    AsyncNetworkStream,
    Origin,
)

from probe.errors import ProbeError
from probe.orderly import OrderlyStream, small_window

# Less than any server's own bound, so that neither closes under the other's hands.
_IDLE_S: Final = 30.0
_CONNECT_S: Final = 10.0
_SMALL_BYTES: Final = 65_536


class Protocol(StrEnum):
    """As the history names them."""

    HTTP11 = "HTTP/1.1"
    HTTP2 = "HTTP/2"


@dataclass(frozen=True)
class Target:
    """Where the API is. ``addresses`` are its doors, called in turn; one "" leaves it to DNS."""

    scheme: str
    host: str
    port: int
    addresses: tuple[str, ...] = ("",)
    ca_file: Path | None = None

    @property
    def authority(self) -> str:
        """As the Host header has it."""
        usual = {"http": 80, "https": 443}[self.scheme]
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == usual else f"{name}:{self.port}"

    def context(self) -> ssl.SSLContext:
        """What certificates are held against; raises ProbeError for a file that is none."""
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ProbeError(
                f"--ca {self.ca_file}: no certificates in PEM can be read from it ({error}); "
                "name a file such as /etc/gtsd/public-ca.pem"
            ) from error


def target(url: str, addresses: tuple[str, ...], ca_file: Path | None) -> Target:
    """The parts of a URL; raises ProbeError with an example for one without name or scheme."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"}:
        raise ProbeError(
            f"--url {url}: must be the API's scheme and name, such as https://api.example.org"
        )
    usual = 443 if parts.scheme == "https" else 80
    return Target(parts.scheme, parts.hostname, port or usual, addresses or ("",), ca_file)


@dataclass
class Link:
    """One connection; it carries one request at a time."""

    connection: AsyncHTTP11Connection | AsyncHTTP2Connection
    protocol: Protocol
    address: str
    orderly: OrderlyStream | None = None
    stream: AsyncNetworkStream = field(kw_only=True)
    uses: int = 0
    idle_since: float = 0.0

    def begin(self) -> None:
        """A request is about to go out."""
        self.uses += 1
        if self.orderly is not None:
            self.orderly.current = 2 * self.uses - 1

    @property
    def reusable(self) -> bool:
        """Whether the last answer left it fit for another request."""
        leaving = self.orderly is not None and self.orderly.leaving
        return not leaving and self.connection.is_available()

    @property
    def fit(self) -> bool:
        """Whether an idle one still is: not too old, and the server has not taken leave."""
        fresh = time.monotonic() - self.idle_since < _IDLE_S
        return fresh and not self.stream.get_extra_info("is_readable")

    async def close(self) -> None:
        """From our side."""
        await self.connection.aclose()


class Links:
    """Opens connections to each door in turn, and keeps those that can be used again."""

    def __init__(self, to: Target) -> None:
        self._to = to
        self._origin = Origin(to.scheme.encode(), to.host.encode(), to.port)
        self._backend = AnyIOBackend()
        self._idle: defaultdict[tuple[Protocol, str], deque[Link]] = defaultdict(deque)
        self._turns = dict.fromkeys(Protocol, 0)
        # One each: what a context offers is a property of its own.
        self._contexts = {
            Protocol.HTTP11: self._context("http/1.1"),
            Protocol.HTTP2: self._context("h2", "http/1.1"),
        }

    def _context(self, *offers: str) -> ssl.SSLContext | None:
        if self._to.scheme == "http":
            return None
        context = self._to.context()
        context.set_alpn_protocols(list(offers))
        return context

    async def take(self, protocol: Protocol, *, fresh: bool = False, narrow: bool = False) -> Link:
        """A kept connection where there is one and ``fresh`` does not forbid it, else a new one.

        ``narrow`` is for slow readers: little is on its way to them. Raises httpcore2's errors.
        """
        addresses = self._to.addresses
        address = addresses[self._turns[protocol] % len(addresses)]
        self._turns[protocol] += 1
        idle = self._idle[protocol, address]
        while idle and not fresh and not narrow:
            link = idle.pop()
            if link.fit:
                return link
            await link.close()
        return await self._open(protocol, address, narrow=narrow)

    async def _open(self, protocol: Protocol, address: str, *, narrow: bool) -> Link:
        stream = await self._backend.connect_tcp(
            address or self._to.host,
            self._to.port,
            timeout=_CONNECT_S,
            socket_options=small_window(_SMALL_BYTES) if narrow else None,
        )
        peer = address or str(stream.get_extra_info("server_addr")[0])
        context = self._contexts[protocol]
        if context is None:
            return self._plain(stream, peer)
        stream = await stream.start_tls(context, self._to.host, _CONNECT_S)
        if stream.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            return self._plain(stream, peer)
        orderly = OrderlyStream(stream)
        connection = AsyncHTTP2Connection(self._origin, orderly)
        return Link(connection, Protocol.HTTP2, peer, orderly, stream=stream)

    def _plain(self, stream: AsyncNetworkStream, peer: str) -> Link:
        connection = AsyncHTTP11Connection(self._origin, stream)
        return Link(connection, Protocol.HTTP11, peer, stream=stream)

    async def give_back(self, link: Link) -> None:
        """Keep it for another request, or close it where the server wants that."""
        if not link.reusable:
            await link.close()
            return
        link.idle_since = time.monotonic()
        address = link.address if link.address in self._to.addresses else ""
        self._idle[link.protocol, address].append(link)

    async def close(self) -> None:
        """All that are kept."""
        for idle in self._idle.values():
            for link in idle:
                await link.close()
        self._idle.clear()
