"""A collector of traces that takes all it gets, and looks at none of it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

from tests.support.collector import Handler


class _Taking(Handler):
    def keep(self, body: bytes) -> None:
        """Not even decoded: that would take the processor from what is measured."""


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
