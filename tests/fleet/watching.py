"""What the monitor of a fleet says, and a receiver of its alerts that notes when each one came."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from tests.fleet.machines.tested import TestedFleet

PROMETHEUS = "http://127.0.0.1:9090/api/v1"
# As the rehearsal's inventory has it in monitoring_webhooks.
PORT = 9099
_NOTES = "/run/gtsd-alerts.jsonl"
_UNIT = "gtsd-alert-receiver"
# Words of PromQL that look like names of series.
_WORDS = {"and", "or", "unless", "bool", "by", "on", "ignoring", "without", "group_left", "offset"}


def ask(fleet: TestedFleet, path: str) -> Any:
    """An answer of Prometheus, which listens on its host's loopback."""
    command = ["curl", "--silent", "--max-time", "10", "--noproxy", "*", f"{PROMETHEUS}/{path}"]
    done = fleet.run_beside(fleet.names("monitor")[0], command)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["data"]


def query(fleet: TestedFleet, expression: str) -> list[dict[str, Any]]:
    """The samples of an expression now."""
    found: list[dict[str, Any]] = ask(fleet, f"query?query={quote(expression)}")["result"]
    return found


def keep_asking(fleet: TestedFleet, seconds: float = 90) -> None:
    """Shares and rates of requests are there once somebody asks for something."""
    deadline = time.monotonic() + seconds
    while not query(fleet, "gtsd:error_ratio:rate5m"):
        assert time.monotonic() < deadline
        fleet.outside_curl("/openapi.json")
        time.sleep(1)


def names_in(expression: str) -> set[str]:
    """The series that an expression reads."""
    bare = re.sub(r"\b\d[\w.]*", " ", re.sub(r"\{[^}]*\}|\[[^]]*\]|\"[^\"]*\"", " ", expression))
    bare = re.sub(r"\b(by|on|ignoring|without)\s*\([^)]*\)", " ", bare)
    found = re.findall(r"[a-zA-Z_:][\w:]*(?!\s*\(|[\w:])", bare)
    return {name for name in found if name not in _WORDS and not re.fullmatch(r"[eE]|Inf", name)}


def unknown(fleet: TestedFleet, rules: dict[str, str]) -> dict[str, set[str]]:
    """Of rules by their name, the series that nobody exports."""
    known = set(ask(fleet, "label/__name__/values"))
    found = {name: names_in(text) - known for name, text in rules.items()}
    return {name: missing for name, missing in found.items() if missing}


def _listen(port: int, path: str) -> None:
    """Runs on the monitor: each alert that comes becomes a line, with the time."""
    import json
    import time
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with open(path, "a") as notes:  # noqa: PTH123 -- the host's Python, no imports of ours
                lines = [json.dumps({"at": time.time(), **alert}) for alert in told["alerts"]]
                notes.write("".join(f"{line}\n" for line in lines))
            self.send_response(204)
            self.end_headers()

    HTTPServer(("127.0.0.1", port), Handler).serve_forever()


class Receiver:
    """What came until now."""

    def __init__(self, fleet: TestedFleet) -> None:
        self._host = fleet.host(fleet.names("monitor")[0])

    def notes(self) -> list[dict[str, Any]]:
        """Every alert that was told, with when it came."""
        text = self._host.run(f"cat {_NOTES}").stdout
        return [json.loads(line) for line in text.splitlines()]

    def wait(self, name: str, status: str, since: float, patience: float) -> float:
        """Seconds from ``since`` until an alert came as `firing` or `resolved`."""
        while True:
            for note in self.notes():
                mine = note["labels"]["alertname"] == name and note["status"] == status
                if mine and note["at"] > since:
                    return float(note["at"] - since)
            assert time.time() - since < patience, f"{name} was not told as {status} in time"
            time.sleep(1)


@contextmanager
def receiver(fleet: TestedFleet) -> Iterator[Receiver]:
    """Listens where Alertmanager sends to; gone afterwards."""
    host = fleet.host(fleet.names("monitor")[0])
    source = f"{inspect.getsource(_listen)}\n_listen({PORT}, {_NOTES!r})"
    host.run(f"systemctl stop {_UNIT}; rm -f {_NOTES}")
    # Specifiers of systemd, dollars and quotes are kept out of its hands.
    host.check_output(f"printf %s {shlex.quote(source)} >/run/{_UNIT}.py && : >{_NOTES}")
    host.check_output(f"systemd-run --quiet --unit={_UNIT} python3 /run/{_UNIT}.py")
    try:
        yield Receiver(fleet)
    finally:
        host.run(f"systemctl stop {_UNIT}; rm -f {_NOTES} /run/{_UNIT}.py")


def _carry(listening: int, port: int) -> None:
    """Runs in the monitor's network: what comes to the socket, which is ours, goes to the port."""
    import asyncio
    import socket

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while chunk := await source.read(65536):
                sink.write(chunk)
                await sink.drain()
        except ConnectionError:
            pass  # either side may hang up
        finally:
            sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, onward = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, onward), pump(upstream, writer))

    async def main() -> None:
        server = await asyncio.start_server(serve, sock=socket.socket(fileno=listening))
        await server.serve_forever()

    asyncio.run(main())


@contextmanager
def tunnel(fleet: TestedFleet, port: int) -> Iterator[int]:
    """A port here that leads to one of the monitor's loopback, as ``ssh -L`` would."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        source = f"{inspect.getsource(_carry)}\n_carry({listening.fileno()}, {port})"
        carrier = fleet.start_beside(
            fleet.names("monitor")[0], [sys.executable, "-c", source], (listening.fileno(),)
        )
        try:
            yield listening.getsockname()[1]
        finally:
            carrier.kill()
            carrier.wait()
