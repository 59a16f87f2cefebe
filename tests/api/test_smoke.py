"""`gtsd smoke` against the real service: green where all is well, and red for each kind of bad."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from gtsd.dev.postgres import EmbeddedPostgres
from tests.support.process import Served, environment, serving


@pytest.fixture(scope="module")
def served(postgres_server: EmbeddedPostgres, _migrated_template: str) -> Iterator[Served]:
    """A process of the service, with a database of its own."""
    url = postgres_server.create_database("smoked", _migrated_template)
    with serving(environment(url, APP_VERSION="1.4.0")) as process:
        yield process


def smoke(url: str, *more: str) -> subprocess.CompletedProcess[str]:
    """As a release runs it."""
    command = [sys.executable, "-m", "gtsd", "smoke", f"--url={url}", *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def test_a_good_service_passes_and_keeps_nothing(served: Served) -> None:
    """It says how many calls it made; a second person is as welcome."""
    url = f"http://127.0.0.1:{served.port}"
    for seconds in ("0", "1"):
        done = smoke(url, "--version=1.4.0", f"--seconds={seconds}")
        assert (done.returncode, done.stderr) == (0, "")
        assert "calls, all good" in done.stdout


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--version=1.5.0",), "version 1.4.0 answers, not 1.5.0"),
        (("--slowest=0.000001",), "half of the calls took more than"),
    ],
)
def test_what_is_wrong_is_said(served: Served, options: tuple[str, ...], says: str) -> None:
    """Another version, or too slow."""
    done = smoke(f"http://127.0.0.1:{served.port}", *options)
    assert done.returncode == 1
    assert says in done.stdout


def test_nobody_at_home_is_said() -> None:
    """A port on which nobody listens."""
    listener, port = bind_unused_port()
    listener.close()
    done = smoke(f"http://127.0.0.1:{port}")
    assert done.returncode == 1
    assert "GET /health: no answer" in done.stdout


class _Odd(RequestHandler):
    """Healthy at first sight."""

    def get(self) -> None:
        self.finish({"version": "1.4.0"} if self.request.path == "/health" else "no JSON")


async def test_an_answer_that_is_no_answer_is_said() -> None:
    """The status is right and the body is not."""
    listener, port = bind_unused_port()
    server = HTTPServer(Application([(r"/.*", _Odd)]))
    server.add_socket(listener)
    try:
        done = await asyncio.to_thread(smoke, f"http://127.0.0.1:{port}")
    finally:
        server.stop()
        await server.close_all_connections()
    assert done.returncode == 1
    assert "GET /ready: 200, but no JSON" in done.stdout
