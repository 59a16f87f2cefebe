"""``gtsd serve`` in a process of its own, as a service manager runs it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.environments import JWT_SECRET

PACKAGE = Path(sys.modules["gtsd"].__path__[0]).parent
ROOT = Path(__file__).parents[2]
# Standard input becomes descriptor 3, the first one of sd_listen_fds(3), in the process whose id
# LISTEN_PID names.
_SHIM = 'exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
_COMMAND = (sys.executable, "-m", "gtsd", "serve")


class Answer(NamedTuple):
    """What came back over one connection; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The whole body."""
        return json.loads(self.body)


class Served:
    """A running process, and all that it writes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.port = 0
        self._out: list[bytes] = []
        self._errors: list[bytes] = []
        pipes = ((process.stdout, self._out), (process.stderr, self._errors))
        self._readers = [threading.Thread(target=_keep, args=pipe) for pipe in pipes]
        for reader in self._readers:
            reader.start()

    @property
    def written(self) -> str:
        """All of standard output and standard error until now."""
        return b"".join([*self._out, *self._errors]).decode()

    @property
    def errors(self) -> str:
        """Standard error until now."""
        return b"".join(self._errors).decode()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The log until now."""
        return [json.loads(line) for line in list(self._out)]

    def said(self, message: str) -> list[dict[str, Any]]:
        """The log lines with this message."""
        return [line for line in self.lines if line["msg"] == message]

    def requests(self) -> list[dict[str, Any]]:
        """The log lines of requests."""
        return [line for line in self.lines if "res" in line]

    def wait_until(self, condition: Callable[[], object], bound_s: float = 20) -> None:
        """Fails after the bound, and when the process ends before."""
        ends = time.monotonic() + bound_s
        while not condition():
            assert self.process.poll() is None, f"it has ended: {self.written}"
            assert time.monotonic() < ends, f"it did not happen: {self.written}"
            time.sleep(0.005)

    def wait_for_line(self, message: str, bound_s: float = 20) -> dict[str, Any]:
        """The first log line with this message."""
        self.wait_until(lambda: self.said(message), bound_s)
        return self.said(message)[0]

    def wait_ready(self) -> None:
        """Until /ready is 200; from then on the port is known."""
        line = self.wait_for_line("ready")
        self.port = int(line["addresses"][0].rpartition(":")[2])
        self.wait_until(lambda: self.get("/ready").status == 200)

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Sent to this process alone."""
        self.process.send_signal(number)

    def ended(self, bound_s: float = 20) -> int:
        """The exit status, once all that was written is read."""
        status = self.process.wait(bound_s)
        for reader in self._readers:
            reader.join(bound_s)
        return status

    def connect(self) -> http.client.HTTPConnection:
        """A connection of one's own, kept open between requests."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.connect()
        return connection

    def get(self, path: str) -> Answer:
        """GET on a new connection."""
        return self.call("GET", path)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        token: str = "",
        connection: http.client.HTTPConnection | None = None,
    ) -> Answer:
        """One request, on a new connection unless one is given."""
        used = connection or self.connect()
        try:
            return exchange(used, method, path, body, token)
        finally:
            if connection is None:
                used.close()

    def sign_up(self, email: str = "ada@example.com") -> tuple[str, int]:
        """A new person's access token and id."""
        body = {"email": email, "password": "Correct-horse-7", "name": "Ada"}
        answer = self.call("POST", "/auth/signup", body)
        assert answer.status == 201, answer
        return answer.json["data"]["accessToken"], answer.json["data"]["user"]["id"]


def exchange(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: Any = None,
    token: str = "",
) -> Answer:
    """Send one request and read its answer."""
    headers = {"Content-Type": "application/json"} if body is not None else {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    sent = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, sent, headers)
    answer = connection.getresponse()
    names = {name.lower(): value for name, value in answer.getheaders()}
    return Answer(answer.status, names, answer.read())


def environment(database_url: str, **variables: str) -> dict[str, str]:
    """What ``gtsd serve`` needs: a free port, no delay in its drain, limits out of the way."""
    return {
        "DATABASE_URL": database_url,
        "JWT_SECRET": JWT_SECRET,
        "PORT": "0",
        "GTSD_LOG_FORMAT": "json",
        "GTSD_DRAIN_DELAY": "0",
        "GTSD_LIMIT_AUTH_WRITE": "10000",
        "GTSD_LIMIT_ANONYMOUS": "10000",
        **variables,
    }


@contextmanager
def started(
    environ: Mapping[str, str],
    command: Sequence[str] = _COMMAND,
    listener: socket.socket | None = None,
) -> Iterator[Served]:
    """The process as it comes up; killed at the end where it still runs.

    ``listener`` is handed over as systemd hands over the socket of a ``.socket`` unit.
    """
    inherited = {name: text for name, text in os.environ.items() if name.startswith("COVERAGE")}
    process = subprocess.Popen(
        command if listener is None else ("sh", "-c", _SHIM, "sh", *command),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{PACKAGE}:{ROOT}", **inherited, **environ},
        stdin=subprocess.DEVNULL if listener is None else listener.fileno(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    served = Served(process)
    try:
        yield served
    finally:
        if process.poll() is None:
            process.kill()
        served.ended()
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


@contextmanager
def serving(
    environ: Mapping[str, str],
    command: Sequence[str] = _COMMAND,
    listener: socket.socket | None = None,
) -> Iterator[Served]:
    """The process once it answers."""
    with started(environ, command, listener) as served:
        if listener is None:
            served.wait_ready()
        else:
            served.port = listener.getsockname()[1]
            served.wait_until(lambda: served.get("/ready").status == 200)
        yield served


def _keep(stream: Any, kept: list[bytes]) -> None:
    while line := stream.readline():
        kept.append(line)
