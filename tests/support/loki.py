"""Loki for tests: takes lines by its push API, and refuses what Loki refuses, as Loki does.

Written after Loki's own documents of the API and of ``limits_config``, with the defaults there. It
needs nothing but Python, so it runs on any host:

    loki.py --port 3100 --certificate cert.pem --key key.pem --into FILE [--login USER:PASSWORD]

Each line that was taken is one of JSON in the file: when, labels, nanoseconds, text. What is
refused stands there, too, with the reason.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PATH = "/loki/api/v1/push"
MAX_LABELS, MAX_NAME, MAX_VALUE = 15, 1024, 2048
MAX_LINE = 256 * 1024
MAX_BODY = 100 * 1024 * 1024
MAX_STREAMS = 5000
OLDEST_S, FUTURE_S, BEHIND_S = 7 * 86400, 600, 3600
RATE_BYTES, BURST_BYTES = 4 << 20, 6 << 20
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_NANOSECONDS = re.compile(r"\d{1,19}")


class Refused(Exception):
    """A whole push that is not taken."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass
class Store:
    """What Loki knows between two pushes."""

    keep: Callable[[dict[str, Any]], None]
    ordered: bool = False  # unordered_writes: false
    newest: dict[str, int] = field(default_factory=dict)
    seen: dict[str, set[tuple[int, str]]] = field(default_factory=dict)
    bucket: float = BURST_BYTES
    filled: float = 0.0

    def push(self, body: bytes, now: float) -> None:
        """Take what is good; raises Refused for the rest, as one answer."""
        streams = list(_streams(body))
        self._limit(sum(len(line) for _, entries in streams for _, line in entries), now)
        faults = []
        for labels, entries in streams:
            name = json.dumps(labels, sort_keys=True)
            if name not in self.newest and len(self.newest) >= MAX_STREAMS:
                raise Refused(429, "Maximum active stream limit exceeded")
            for at, line in entries:
                fault = self._fault(name, at, line, now)
                if fault:
                    faults.append(fault)
                    self.keep({"refused": fault, "labels": labels, "at": at, "line": line[:200]})
                    continue
                again = (at, line) in self.seen.setdefault(name, set())
                self.seen[name].add((at, line))
                self.newest[name] = max(at, self.newest.get(name, 0))
                # What is there already, to the nanosecond, is taken and not kept twice.
                self.keep({"labels": labels, "at": at, "line": line, "again": again})
        if faults:
            raise Refused(400, faults[0])

    def _fault(self, name: str, at: int, line: str, now: float) -> str:
        newest = self.newest.get(name, 0)
        if len(line.encode()) > MAX_LINE:
            return "line too long"
        if at < (now - OLDEST_S) * 1e9:
            return "greater_than_max_sample_age"
        if at > (now + FUTURE_S) * 1e9:
            return "too_far_in_future"
        if self.ordered and at < newest:
            return "out_of_order"
        if at < newest - BEHIND_S * 10**9:
            return "too_far_behind"
        return ""

    def _limit(self, size: int, now: float) -> None:
        self.bucket = min(BURST_BYTES, self.bucket + (now - (self.filled or now)) * RATE_BYTES)
        self.filled = now
        if size > self.bucket:
            raise Refused(429, "Ingestion rate limit exceeded")
        self.bucket -= size


def _streams(body: bytes) -> Iterator[tuple[dict[str, str], list[tuple[int, str]]]]:
    try:
        told = json.loads(body.decode("utf-8"))
    except ValueError as error:
        raise Refused(400, f"no JSON: {error}") from error
    if not isinstance(told, dict) or not isinstance(told.get("streams"), list):
        raise Refused(400, "no streams")
    for stream in told["streams"]:
        if not isinstance(stream, dict) or set(stream) != {"stream", "values"}:
            raise Refused(400, "a stream has `stream` and `values`")
        labels = stream["stream"]
        _check_labels(labels)
        if not isinstance(stream["values"], list):
            raise Refused(400, "values are a list")
        yield labels, [_entry(value) for value in stream["values"]]


def _check_labels(labels: Any) -> None:
    if not isinstance(labels, dict) or not labels:
        raise Refused(400, "at least one label pair is required per stream")
    if len(labels) > MAX_LABELS:
        raise Refused(400, "max_label_names_per_series")
    for name, value in labels.items():
        if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
            raise Refused(400, f"label name {name!r}")
        if not isinstance(value, str) or len(value.encode()) > MAX_VALUE:
            raise Refused(400, f"label value {value!r}")


def _entry(value: Any) -> tuple[int, str]:
    if not isinstance(value, list) or len(value) != 2:
        raise Refused(400, "a value is a pair")
    at, line = value
    if not isinstance(at, str) or not _NANOSECONDS.fullmatch(at):
        raise Refused(400, f"nanoseconds are a string of digits, not {at!r}")
    if not isinstance(line, str):
        raise Refused(400, "a line is a string")
    return int(at), line


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    store: Store
    login = ""
    tenant = ""
    timeout = 60

    def do_POST(self) -> None:
        """A push."""
        try:
            self._take()
        except Refused as refused:
            self._answer(refused.status, str(refused))
        else:
            self._answer(204)

    def _take(self) -> None:
        size = int(self.headers.get("Content-Length") or -1)
        if not 0 <= size <= MAX_BODY:
            raise Refused(413 if size > 0 else 411, "length")
        body = self.rfile.read(size)
        if self.path != PATH:
            raise Refused(404, "404 page not found")
        wanted = f"Basic {base64.b64encode(self.login.encode()).decode()}" if self.login else None
        if wanted is not None and self.headers.get("Authorization") != wanted:
            raise Refused(401, "Unauthorized")
        if self.tenant and self.headers.get("X-Scope-OrgID") != self.tenant:
            raise Refused(401, "no org id")
        if self.headers.get("Content-Type", "").partition(";")[0] != "application/json":
            raise Refused(400, "Content-Type")
        self.store.push(body, time.time())

    def _answer(self, status: int, text: str = "") -> None:
        body = text.encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: it would be shipped, and told again."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A peer that goes away in the middle is none of ours."""


def main(arguments: list[str]) -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    for name in ("--certificate", "--key", "--into"):
        parser.add_argument(name, required=True)
    parser.add_argument("--login", default="")
    parser.add_argument("--tenant", default="")
    parser.add_argument("--ordered", action="store_true")
    options = parser.parse_args(arguments)
    into = Path(options.into).open("a", buffering=1)  # noqa: SIM115 (open as long as it serves)
    store = Store(lambda entry: print(json.dumps(entry), file=into), options.ordered)
    Handler.store, Handler.login, Handler.tenant = store, options.login, options.tenant
    server = _Server(("", options.port), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate, options.key)
    # A peer that does not shake hands holds up its own thread, not all others.
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
