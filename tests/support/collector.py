"""A collector for a fleet: takes traces by OTLP over HTTP, decodes them, keeps them as JSON lines.

    python -m tests.support.collector PORT FILE

``ip netns exec`` puts it beside a host's programs, on their loopback.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.api.telemetry.receiver import decoded


class Handler(BaseHTTPRequestHandler):
    """One export."""

    protocol_version = "HTTP/1.1"
    into: Path

    def do_POST(self) -> None:
        """As a collector answers."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = 404
        if self.path == "/v1/traces":
            status = 200
            self.keep(body)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def keep(self, body: bytes) -> None:
        """What can be decoded; what cannot breaks the connection."""
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        spans = map(dataclasses.asdict, decoded(body))
        with self.into.open("a") as file:
            file.write("".join(json.dumps(span) + "\n" for span in spans))

    def log_message(self, *_: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    Handler.into = Path(sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
