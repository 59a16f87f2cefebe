"""``gtsd deploys …`` on a fresh database, as the playbooks call it."""

from __future__ import annotations

import io
import json
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gtsd.__main__ import run as gtsd
from gtsd.deploys import copies

HOLDER = "anna@laptop release 1.4.0"


class Answer(NamedTuple):
    """What one call did; ``facts`` is its JSON."""

    status: int
    facts: dict[str, Any]
    errors: str


Deploys = Callable[..., Answer]


@pytest.fixture
def deploys(database_url: str, log: Log) -> Deploys:
    """One call with ``--json``; returns what it did."""

    def call(*words: str) -> Answer:
        out, errors = io.StringIO(), io.StringIO()
        environ = {"DATABASE_URL": database_url}
        status = gtsd(["deploys", *words, "--json"], environ, out, errors)
        return Answer(status, json.loads(out.getvalue()), errors.getvalue())

    return call


class Log:
    """Stands where the journal listens, and keeps what comes."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener

    def line(self) -> str:
        """The next one; fails when there is none."""
        return self._listener.recv(200_000).decode()

    def end(self) -> None:
        """Nobody listens any more."""
        self._listener.close()


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """A datagram socket, in a folder whose path is short enough for one."""
    with (
        tempfile.TemporaryDirectory(prefix="gtsd-log-") as folder,
        closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener,
    ):
        address = Path(folder, "log")
        listener.bind(str(address))
        listener.settimeout(5)
        monkeypatch.setattr(copies, "SOCKET", address)
        yield Log(listener)


@pytest.fixture
def token(deploys: Deploys) -> str:
    """Of a lease that is held for a minute."""
    return acquired(deploys)


def acquired(deploys: Deploys, holder: str = HOLDER, ttl: float = 60) -> str:
    """Get the lease; returns its token."""
    words = ("--holder", holder, "--purpose", "release", "--ttl", str(ttl))
    answer = deploys("acquire", *words)
    assert answer.status == 0, answer.errors
    return str(answer.facts["token"])
