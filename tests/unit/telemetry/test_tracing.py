"""Trace context in and out, and what tracing costs while it is off."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from tornado.httputil import HTTPHeaders

from gtsd.telemetry import collector, tracing, w3c
from tests.unit.telemetry.conftest import MakeSettings

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture(autouse=True)
def _off(make_settings: MakeSettings) -> Iterator[None]:
    collector.configure(make_settings())
    yield
    # Forget the caller of the last test.
    tracing.server_span({}, "GET")


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_off_means_no_spans_and_no_threads(
    make_settings: MakeSettings, variables: dict[str, str]
) -> None:
    """Without a collector, or disabled: every span is one and the same object."""
    before = threading.enumerate()
    running = collector.configure(make_settings(**variables))
    assert not running.on
    with tracing.server_span({}, "GET") as server:
        first, second = tracing.span("one"), tracing.span("two", tracing.CLIENT, {"n": 1})
        with first as entered:
            entered.set("rows", 3)
        assert server.end("/v1/x", 200) is None
    assert first is second
    assert tracing.current_ids() is None
    assert threading.enumerate() == before
    assert running.shutdown()
    assert running.shutdown()


def test_a_job_that_is_not_recorded_is_of_its_callers_trace_until_its_end() -> None:
    """What the same task does next is not: a worker goes on to the next job."""
    with tracing.root_span("job", headers={"traceparent": TRACEPARENT}):
        assert tracing.current_ids() == w3c.Ids(TRACE, PARENT)
    assert tracing.current_ids() is None


def test_off_hides_no_exception() -> None:
    """The context manager that does nothing swallows nothing either."""
    with pytest.raises(ZeroDivisionError), tracing.span("one"):
        _ = 1 / 0
    with pytest.raises(ZeroDivisionError), tracing.server_span({}, "GET"):
        _ = 1 / 0


def test_off_keeps_the_callers_ids_for_the_log() -> None:
    """While the request runs, after its end, and in the tasks that it starts."""

    async def child() -> w3c.Ids | None:
        return tracing.current_ids()

    async def handle() -> None:
        with tracing.server_span({"traceparent": TRACEPARENT}, "GET") as server:
            assert tracing.current_ids() == (TRACE, PARENT)
            assert await asyncio.create_task(child()) == (TRACE, PARENT)
            assert server.end("/v1/x", 200) == (TRACE, PARENT)
        assert tracing.current_ids() == (TRACE, PARENT)

    asyncio.run(handle())


def test_off_passes_the_callers_context_on() -> None:
    """We are a link in somebody's chain even if we record nothing."""
    with tracing.server_span({"traceparent": TRACEPARENT, "tracestate": "a=1,b=2"}, "GET"):
        headers = {"accept": "*/*"}
        tracing.inject(headers)
    assert headers == {"accept": "*/*", "traceparent": TRACEPARENT, "tracestate": "a=1,b=2"}


def test_nothing_is_injected_outside_a_trace() -> None:
    """No header rather than one of zeros."""
    headers: dict[str, str] = {}
    tracing.inject(headers)
    assert headers == {}


def test_requests_at_the_same_time_keep_their_ids_apart() -> None:
    """Twenty tasks, twenty callers."""

    async def handle(number: int) -> bool:
        trace = f"{number + 1:032x}"
        with tracing.server_span({"traceparent": f"00-{trace}-{PARENT}-01"}, "GET"):
            await asyncio.sleep(0.001 * (number % 3))
            return tracing.current_ids() == (trace, PARENT)

    async def handle_all() -> list[bool]:
        return await asyncio.gather(*(handle(number) for number in range(20)))

    assert all(asyncio.run(handle_all()))


def test_a_valid_traceparent_is_read() -> None:
    """Ids, the sampled flag, and that the span is somebody else's."""
    context = w3c.read({"traceparent": f" {TRACEPARENT} "})
    assert context is not None
    assert (f"{context.trace_id:032x}", f"{context.span_id:016x}") == (TRACE, PARENT)
    assert context.trace_flags.sampled
    assert context.is_remote


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "garbage",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}-01-extra",
        f"00-{TRACE}-{PARENT}-01extra",
        f"00_{TRACE}_{PARENT}_01",
        f"{TRACEPARENT},{TRACEPARENT}",
    ],
)
def test_an_invalid_traceparent_is_ignored(traceparent: str) -> None:
    """As the standard asks: start anew rather than guess."""
    assert w3c.read({"traceparent": traceparent}) is None


def test_two_traceparents_are_ignored() -> None:
    """Tornado joins repeated headers by a comma."""
    headers = HTTPHeaders()
    headers.add("traceparent", TRACEPARENT)
    headers.add("traceparent", TRACEPARENT)
    assert w3c.read(headers) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    """Version 01 may append fields."""
    assert w3c.read({"traceparent": f"01-{TRACE}-{PARENT}-01-later"}) is not None


@pytest.mark.parametrize("state", ["", "a=1," * 200, "no pairs here", "=,=,="])
def test_a_bad_tracestate_does_not_spoil_the_parent(state: str) -> None:
    """It is dropped, too long as it may be; the ids stay."""
    context = w3c.read(HTTPHeaders({"traceparent": TRACEPARENT, "tracestate": state}))
    assert context is not None
    assert "tracestate" not in w3c.write(context)


def test_only_the_sampled_flag_is_passed_on() -> None:
    """Other bits of a future version are not ours to repeat."""
    context = w3c.read({"traceparent": f"00-{TRACE}-{PARENT}-fe"})
    assert context is not None
    assert w3c.write(context)["traceparent"] == f"00-{TRACE}-{PARENT}-00"
