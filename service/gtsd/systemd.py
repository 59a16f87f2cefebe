"""What a service manager and a service say to each other, after sd_notify(3), sd_listen_fds(3)
and sd_watchdog_enabled(3) of systemd: https://www.freedesktop.org/software/systemd/man/latest/

In short. ``NOTIFY_SOCKET`` is the address of a datagram socket, a path or, with ``@`` in front, a
name in the abstract namespace; a datagram holds lines of ``KEY=value``. ``LISTEN_FDS`` sockets were
opened for the process ``LISTEN_PID`` and are its descriptors from 3 on, with the names of
``LISTEN_FDNAMES`` between colons. ``WATCHDOG_USEC`` is the time after which a silent service is
killed, for the process ``WATCHDOG_PID`` or, without it, any. No library for this has wheels.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Final

_FIRST_DESCRIPTOR: Final = 3
_VARIABLES: Final = (
    "NOTIFY_SOCKET",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
)
_SEND_TIMEOUT: Final = 1.0


class SupervisorError(Exception):
    """What the service manager handed over cannot be used."""


@dataclass(frozen=True)
class Supervisor:
    """The service manager above this process; without arguments there is none, and all is a no-op.

    Made once, by ``from_environ``. Its sockets belong to the caller of ``listen_sockets``.
    """

    address: str | None = None
    """Where to send notices."""
    descriptors: int = 0
    """How many sockets were handed over."""
    names: tuple[str, ...] = ()
    watchdog: float | None = None
    """Seconds of silence before this process is killed."""

    @classmethod
    def from_environ(cls, environ: MutableMapping[str, str], pid: int | None = None) -> Supervisor:
        """Takes the variables out, so that no child believes that they are meant for it.

        Raises SupervisorError for a value that is not of the protocol.
        """
        given = {name: environ.pop(name, "") for name in _VARIABLES}
        own = os.getpid() if pid is None else pid
        address = given["NOTIFY_SOCKET"]
        if address and not address.startswith(("/", "@")):
            raise SupervisorError("NOTIFY_SOCKET must be a path or begin with @")
        usec = _whole(given, "WATCHDOG_USEC")
        guarded = _whole(given, "WATCHDOG_PID") in (None, own)
        for_us = _whole(given, "LISTEN_PID") == own
        return cls(
            address=address or None,
            descriptors=(_whole(given, "LISTEN_FDS") or 0) if for_us else 0,
            names=tuple(given["LISTEN_FDNAMES"].split(":")) if for_us else (),
            watchdog=usec / 1e6 if usec and guarded else None,
        )

    def notify(self, state: str) -> None:
        """Send lines such as ``READY=1`` or ``STATUS=draining``; raises OSError.

        Blocks for at most a second, and only when the service manager does not read.
        """
        if self.address is None:
            return
        address = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
        with socket.socket(socket.AF_UNIX, kind) as connection:
            connection.settimeout(_SEND_TIMEOUT)
            connection.sendto(state.encode(), address)

    def listen_sockets(self, name: str | None = None) -> list[socket.socket]:
        """The sockets handed over, or those of that FileDescriptorName; none: open your own.

        Not blocking, and not inherited by children. Ask once for each name: a second call makes
        second owners of the same descriptors. Raises SupervisorError for anything that does not
        listen for streams.
        """
        return [
            _listener(_FIRST_DESCRIPTOR + place)
            for place in range(self.descriptors)
            if name is None or self.names[place : place + 1] == (name,)
        ]

    def watchdog_interval(self) -> float | None:
        """Seconds between two ``WATCHDOG=1``: half of what is allowed; None: nobody watches."""
        return None if self.watchdog is None else self.watchdog / 2


def _listener(descriptor: int) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)  # noqa: FBT003 it takes no keyword
        listener = socket.socket(fileno=descriptor)
    except OSError as error:
        raise SupervisorError(
            f"descriptor {descriptor} of LISTEN_FDS is not a socket: {error.strerror}"
        ) from None
    listens = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if listener.type != socket.SOCK_STREAM or not listens:
        listener.detach()
        raise SupervisorError(f"descriptor {descriptor} of LISTEN_FDS does not listen for streams")
    listener.settimeout(0)  # not blocking
    return listener


def _whole(given: Mapping[str, str], name: str) -> int | None:
    text = given[name]
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise SupervisorError(f"{name} must be a whole number")
    return int(text)
