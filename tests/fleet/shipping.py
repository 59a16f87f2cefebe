"""A fleet that sends its logs and traces to where a test can read them."""

from __future__ import annotations

import http.client
import json
import shlex
import signal
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from testinfra.host import Host as Inside

from tests.fleet.machines.places import PROJECT
from tests.fleet.machines.shapes import PUBLIC_NAME, namespace_name
from tests.fleet.machines.tested import TestedFleet
from tests.support import loki
from tests.support.tls import Leaf

LOKI_PORT, COLLECTOR_PORT = 3100, 4318
LOGIN, TENANT = "gtsd:canary-Pa55-of-loki", "team-a"
# Where hosts find who signed Loki's certificate.
CA_ON_HOSTS = "/etc/ssl/gtsd-test-loki-ca.pem"
LABELS = {"job", "host", "unit", "level"}
_BOUND_S = 60.0
_PACE_S = 0.1
# Less than the edge keeps a connection on which nobody asks.
_IDLE_S = 20.0
FIGURES = "/var/lib/prometheus/node-exporter/gtsd_logs.prom"

Entry = dict[str, Any]


def until(condition: Callable[[], Any], bound_s: float = _BOUND_S) -> Any:
    """What the condition gives, once that is something; fails after the bound."""
    ends = time.monotonic() + bound_s
    while not (found := condition()):
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.2)
    return found


class Loki:
    """The receiver on the fleet's gateway; what it took outlives it."""

    def __init__(self, fleet: TestedFleet, into: Path, leaf: Leaf) -> None:
        self.into = into
        self._leaf = leaf
        self.url = f"https://{fleet.gateway}:{LOKI_PORT}{loki.PATH}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, leaf: Leaf | None = None) -> None:
        """With its own certificate unless another is given."""
        shown = leaf or self._leaf
        words: list[object] = ["--port", LOKI_PORT, "--into", self.into]
        words += ["--certificate", shown.certificate, "--key", shown.key]
        words += ["--login", LOGIN, "--tenant", TENANT]
        self._process = subprocess.Popen([sys.executable, loki.__file__, *map(str, words)])

    def stop(self) -> None:
        """As if its host had lost its power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def entries(self) -> list[Entry]:
        """All that was taken and all that was refused, in the order in which it came."""
        if not self.into.exists():
            return []
        return [json.loads(line) for line in self.into.read_text().splitlines()]

    def with_text(self, text: str) -> list[Entry]:
        """The lines that hold it, each once."""
        return [e for e in self.entries() if text in e["line"] and not e.get("again")]


class Collector:
    """The collector of traces beside a host's programs, on its loopback."""

    def __init__(self, fleet: TestedFleet, host: str, into: Path) -> None:
        self.into = into
        namespace = ["ip", "netns", "exec", namespace_name(fleet.name, host)]
        words = ["-m", "tests.support.collector", str(COLLECTOR_PORT), str(into)]
        self._process = subprocess.Popen([*namespace, sys.executable, *words], cwd=PROJECT)

    def stop(self) -> None:
        """For good."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def of(self, trace_id: str) -> list[dict[str, Any]]:
        """The spans of a trace until now."""
        lines = self.into.read_text().splitlines() if self.into.exists() else []
        return [span for span in map(json.loads, lines) if span["trace_id"] == trace_id]


class _ByName(http.client.HTTPConnection):
    """To an address, but asking it for the public name."""

    default_port = 443
    tls: ssl.SSLContext

    def connect(self) -> None:
        super().connect()
        self.sock = self.tls.wrap_socket(self.sock, server_hostname=PUBLIC_NAME)


class Edge:
    """A client of the public name that keeps its connection for as long as the edge does."""

    def __init__(self, fleet: TestedFleet) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # test_acme.py looks at the certificate
        self._connection = _ByName(fleet.address(fleet.names("edge")[0]), timeout=20)
        self._connection.tls = context
        self._used = 0.0

    def close(self) -> None:
        """Leave."""
        self._connection.close()

    def ask(
        self, path: str, body: Any = None, token: str = "", **headers: str
    ) -> tuple[int, dict[str, Any], float]:
        """Status, answer and seconds of a GET, or of a POST where there is a body."""
        told = {"Host": PUBLIC_NAME, **{k.replace("_", "-"): v for k, v in headers.items()}}
        if token:
            told["Authorization"] = f"Bearer {token}"
        if body is not None:
            told["Content-Type"] = "application/json"
        began = time.monotonic()
        if began - self._used > _IDLE_S:
            self._connection.close()
        method = "GET" if body is None else "POST"
        text = None if body is None else json.dumps(body)
        self._connection.request(method, path, text, told)
        answer = self._connection.getresponse()
        read = answer.read()
        self._used = time.monotonic()
        return answer.status, json.loads(read), self._used - began

    def sign_up(self) -> str:
        """A new person's token."""
        email = f"told-{uuid.uuid4().hex[:12]}@example.org"
        body = {"email": email, "password": "Correct-horse-7", "name": "Ada"}
        status, answer, _ = self.ask("/auth/signup", body)
        assert status == 201, answer
        return str(answer["data"]["accessToken"])


def say(host: Inside, text: str, priority: str = "user.info") -> None:
    """A line in the journal."""
    host.check_output("logger -t gtsd-test -p %s -- %s", priority, text)


_NATIVE = """
import socket, struct, sys
text = bytes.fromhex(sys.argv[1])
message = b"MESSAGE\\n" + struct.pack("<Q", len(text)) + text + b"\\n"
message += b"SYSLOG_IDENTIFIER=gtsd-test\\nPRIORITY=4\\n"
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(message, "/run/systemd/journal/socket")
"""


def say_bytes(host: Inside, text: bytes) -> None:
    """The same by journald's own protocol, which takes any bytes."""
    host.check_output(f"/usr/bin/python3 -c {shlex.quote(_NATIVE)} {text.hex()}")


def cursor(host: Inside) -> str:
    """The place in the journal after all that is there."""
    told = host.check_output("journalctl --lines=0 --show-cursor")
    return str(told.strip().rpartition("-- cursor: ")[2])


def journal(host: Inside, after: str, first: str, last: str) -> list[str]:
    """The messages from one to another of which both were written after the cursor."""
    told = host.check_output(
        "journalctl --output=json --all --after-cursor=%s --output-fields=MESSAGE", after
    )
    found = []
    for line in told.splitlines():
        message = json.loads(line).get("MESSAGE") or ""
        if isinstance(message, list):
            message = bytes(message).decode("utf-8", "backslashreplace")
        found.append(message)
    return found[found.index(first) : found.index(last) + 1]


def without_head(entry: Entry) -> str:
    """The message of a line: what is no JSON has its writer in front."""
    line = str(entry["line"])
    return line if line.startswith("{") else line.partition("]: ")[2]


class Told(NamedTuple):
    """A host that tells, and where it is heard."""

    host: Inside
    loki: Loki
    collector: Collector
    edge: Edge
    output: str

    def mark(self) -> str:
        """A line in the journal that is like no other."""
        text = f"mark {uuid.uuid4()}"
        say(self.host, text)
        return text

    def arrived(self, text: str) -> list[Entry]:
        """The lines that hold it, once there is one."""
        found: list[Entry] = until(lambda: self.loki.with_text(text))
        return found

    def between(self, first: str, last: str) -> list[str]:
        """Messages out of the journal that arrived from one mark to another, in their order."""
        kept = [e for e in self.loki.entries() if not e.get("again") and "refused" not in e]
        texts = [without_head(e) for e in kept if e["labels"]["unit"] != "nginx-access"]
        return texts[texts.index(first) : texts.index(last) + 1]

    def access(self, ids: list[str]) -> list[Entry]:
        """The edge's lines of these requests."""
        entries = [e for e in self.loki.entries() if e["labels"].get("unit") == "nginx-access"]
        return [e for e in entries if json.loads(e["line"])["request_id"] in ids and not e["again"]]

    def requests(self, seconds: float) -> list[float]:
        """How long each took of those that were made for so long."""
        took, ends = [], time.monotonic() + seconds
        while time.monotonic() < ends:
            # It asks PostgreSQL and Redis, and is bounded by no limit of ours.
            status, _, spent = self.edge.ask("/health")
            assert status == 200
            took.append(spent)
            time.sleep(_PACE_S)
        return took

    def figures(self) -> dict[str, float]:
        """What node_exporter would tell."""
        lines = self.host.file(FIGURES).content_string.splitlines()
        pairs = (line.split() for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}


def settings(loki: Loki) -> dict[str, str]:
    """What the inventory would say for a fleet that tells."""
    user, _, password = LOGIN.partition(":")
    return {
        "logs_loki_url": loki.url,
        "logs_loki_ca_file": CA_ON_HOSTS,
        "logs_loki_user": user,
        "logs_loki_password": password,
        "logs_loki_tenant": TENANT,
        "logs_retry": "2",
        "gtsd_otel_endpoint": f"http://127.0.0.1:{COLLECTOR_PORT}",
        # Nobody is there: a link is signed, and a job begun, without them.
        "gtsd_smtp_url": "smtps://gtsd:Shae4ohqu3iej@127.0.0.1:2465",
        "gtsd_mail_from": "GTSD <no-reply@rehearsal.test>",
        "gtsd_s3_endpoint": "https://127.0.0.1:9000",
        "gtsd_s3_bucket": "photos",
        "gtsd_s3_access_key_id": "AKIDtold",
        "gtsd_s3_secret_access_key": "Xuu2eiph7Ohs0aeb4ooW",
    }
