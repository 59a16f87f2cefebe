"""Coming up, being told to stop, and what a process says when it cannot run."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator

import pytest

from gtsd.lifecycle import notify
from gtsd.systemd import Supervisor
from gtsd.telemetry import collector
from tests.support.process import environment, serving, started
from tests.support.redis import logged


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        yield server


def _port(server: socket.socket) -> int:
    port: int = server.getsockname()[1]
    return port


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_process_at_once(
    shared_database_url: str, number: signal.Signals
) -> None:
    """Whoever asks twice does not want to wait for the drain; there is no traceback either."""
    with serving(environment(shared_database_url, GTSD_DRAIN_DELAY="60")) as served:
        served.signal(number)
        served.wait_for_line("draining")
        served.signal(number)
        assert served.ended() == -number
        assert served.errors == ""


def test_a_sigterm_while_starting_ends_the_process_without_a_drain(
    shared_database_url: str, silent: socket.socket
) -> None:
    """It never was ready, so nobody has to notice that it goes."""
    environ = environment(
        shared_database_url,
        REDIS_URL=f"redis://127.0.0.1:{_port(silent)}/0",
        GTSD_REDIS_TIMEOUT="0.5",
        GTSD_DRAIN_DELAY="60",
    )
    with started(environ) as served:
        connection, _ = silent.accept()
        served.signal()
        assert served.ended(10) == 0
        connection.close()
        assert [line["msg"] for line in served.lines if line["level"] < 40] == ["stopped"]


def test_a_silent_collector_delays_the_stop_by_two_seconds_at_most(
    shared_database_url: str, silent: socket.socket
) -> None:
    """The spans are lost then, and the stop is still a clean one."""
    endpoint = f"http://127.0.0.1:{_port(silent)}"
    with serving(environment(shared_database_url, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)) as served:
        assert served.get("/health").status == 200
        served.signal()
        served.wait_for_line("stopped")
        began = time.monotonic()
        assert served.ended(10) == 0
        # A busy machine has three seconds for the end itself; the exporter alone would take ten.
        assert time.monotonic() - began < collector.STOP_BOUND_S + 3
        assert served.errors == ""


def test_a_taken_port_is_one_sentence_and_exit_1(
    shared_database_url: str, silent: socket.socket
) -> None:
    """It names the address and the variable."""
    port = _port(silent)
    with started(environment(shared_database_url, PORT=str(port))) as served:
        assert served.ended() == 1
        (line,) = served.lines
        assert line["msg"] == (
            f"Cannot listen on 127.0.0.1:{port}: Address already in use. Set PORT."
        )
        assert served.errors == ""


def test_a_store_that_cannot_be_opened_is_one_sentence_and_exit_1(
    shared_database_url: str,
) -> None:
    """A file that is named and missing, say; a server that is away is no reason not to start."""
    redis = "rediss://127.0.0.1:1/0?ssl_ca_certs=/nonexistent"
    with started(environment(shared_database_url, REDIS_URL=redis)) as served:
        assert served.ended() == 1
        (line,) = [line for line in served.lines if line["level"] >= 40]
        assert line["msg"] == "Cannot use REDIS_URL: [Errno 2] No such file or directory."
        assert served.errors == ""


def test_all_bad_settings_are_told_at_once_and_exit_2() -> None:
    """Each on a line that begins with its variable; nothing is opened before."""
    environ = {"PORT": "seventy", "LOG_LEVEL": "loud", "JWT_SECRET": "short"}
    with started(environ) as served:
        assert served.ended() == 2
        assert served.errors.startswith("4 problems in the settings:\n")
        lines = served.errors.splitlines()
        for variable in (*environ, "DATABASE_URL"):
            assert any(line.startswith(variable) for line in lines), variable


def test_a_service_manager_that_does_not_listen_stops_nobody() -> None:
    """What it should have been told goes to the log instead."""
    with logged() as lines:
        notify(Supervisor("/nowhere/notify"), "STOPPING=1")
    assert lines == ["the service manager did not take STOPPING=1: No such file or directory"]
