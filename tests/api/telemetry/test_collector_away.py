"""A collector that is not there costs no request, and a stop no more than its bound."""

from __future__ import annotations

import gc
import logging
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from gtsd.telemetry import collector, tracing
from gtsd.telemetry.export import Exporter
from tests.api.telemetry.receiver import trace_to
from tests.support.environments import DEVELOPMENT


@pytest.fixture
def unreachable() -> Iterator[tuple[str, str]]:
    """A port where nobody listens, and one that takes connections and never answers."""
    # For good: the threads that are left behind complain for some seconds after the test.
    for name in ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk"):
        logging.getLogger(name).setLevel("CRITICAL")
    closed = socket.create_server(("127.0.0.1", 0))
    silent = socket.create_server(("127.0.0.1", 0))
    endpoints = [f"http://127.0.0.1:{server.getsockname()[1]}" for server in (closed, silent)]
    closed.close()
    yield endpoints[0], endpoints[1]
    silent.close()


def _make_spans(count: int) -> None:
    for _ in range(count):
        with tracing.server_span({}, "GET") as server:
            server.end("/v1/x", 200)


def test_an_unreachable_collector_delays_a_stop_by_its_bound_at_most(
    unreachable: tuple[str, str],
) -> None:
    """Whether it refuses or is silent."""
    for endpoint in unreachable:
        running = trace_to(endpoint)
        _make_spans(10)
        began = time.monotonic()
        assert not running.shutdown(0.5)
        # The control below is still waiting then.
        assert time.monotonic() - began < collector.STOP_BOUND_S


def test_without_the_bound_a_stop_would_take_longer(unreachable: tuple[str, str]) -> None:
    """The control: the provider's own shutdown is still waiting after the bound of two seconds."""
    stopping: list[threading.Thread] = []
    for endpoint in unreachable:
        running = trace_to(endpoint)
        _make_spans(10)
        provider = running._provider
        assert provider is not None
        stopping.append(threading.Thread(target=provider.shutdown, daemon=True))
        stopping[-1].start()
    ends = time.monotonic() + collector.STOP_BOUND_S + 0.1
    for thread in stopping:
        thread.join(ends - time.monotonic())
        assert thread.is_alive()


_PROCESS = """
import sys, time
from gtsd import settings
from gtsd.telemetry import collector, log, tracing
names = ("DATABASE_URL", "JWT_SECRET", "OTEL_EXPORTER_OTLP_ENDPOINT")
chosen = settings.read(dict(zip(names, sys.argv[1:])))
log.configure(chosen)
running = collector.configure(chosen)
with tracing.server_span({}, "GET") as server:
    server.end("/v1/x", 200)
print("stopping", flush=True)
running.shutdown()
"""


def test_a_process_ends_in_time_without_its_collector(unreachable: tuple[str, str]) -> None:
    """The thread that still waits dies with the process, and nothing waits again at exit."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", _PROCESS, *DEVELOPMENT.values(), endpoint],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for endpoint in unreachable
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == b"stopping\n"
    began = time.monotonic()
    for process in running:
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, b"")
    # A busy machine has three seconds for the end itself; the exporter alone would take ten.
    assert time.monotonic() - began < collector.STOP_BOUND_S + 3


@pytest.mark.parametrize(("exporter", "kept"), [(Exporter, 0), (OTLPSpanExporter, 100)])
def test_what_could_not_be_sent_is_not_kept(
    unreachable: tuple[str, str], exporter: type[OTLPSpanExporter], kept: int
) -> None:
    """Without a collection of garbage, which comes late. The control is the exporter as it is."""
    gc.collect()
    gc.disable()
    try:
        spans = [ReadableSpan(str(number)) for number in range(100)]
        there = [weakref.ref(span) for span in spans]
        # No time for a second try.
        result = exporter(f"{unreachable[0]}/v1/traces", timeout=0.1).export(spans)
        del spans
        assert result is SpanExportResult.FAILURE
        assert sum(span() is not None for span in there) == kept
    finally:
        gc.enable()


def test_an_unreachable_collector_costs_no_request(unreachable: tuple[str, str]) -> None:
    """More spans than the queue holds, and none waits for a place in it."""
    for endpoint in unreachable:
        running = trace_to(endpoint)
        slow = 0
        for _ in range(3_000):
            began = time.perf_counter()
            _make_spans(1)
            slow += time.perf_counter() - began > 0.1
        # A busy machine interrupts a few of them; a full queue would hold up nine hundred.
        assert slow < 50
        assert not running.shutdown(0.05)
