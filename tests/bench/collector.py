"""A collector of traces that takes all it gets, and looks at none of it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Taking(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """As a collector answers: 200, and that nothing was refused."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing to say."""


@contextlib.contextmanager
def collector() -> Iterator[str]:
    """Its base URL, as OTEL_EXPORTER_OTLP_ENDPOINT gives it; gone afterwards."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Taking)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
