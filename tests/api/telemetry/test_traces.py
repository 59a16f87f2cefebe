"""Spans as a collector receives them, and a collector that is not there."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from gtsd.errors import NotFound, Unavailable
from gtsd.telemetry import tracing, w3c
from gtsd.telemetry.collector import Tracing
from gtsd.telemetry.tracing import CLIENT
from gtsd.telemetry.w3c import Ids
from tests.api.telemetry.receiver import Receiver, trace_to

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
NOT_SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-00"}


def _send(running: Tracing) -> None:
    assert running.shutdown(10)


def test_a_request_is_one_tree(receiver: Receiver) -> None:
    """Under the caller's span: the request, in it a use case, in that two queries at once."""
    running = trace_to(receiver.endpoint)

    async def query(name: str) -> None:
        with tracing.span(name, CLIENT, {"db.system.name": "postgresql"}) as span:
            await asyncio.sleep(0.001)
            span.set("db.response.returned_rows", 3)

    async def handle() -> Ids | None:
        with tracing.server_span(SAMPLED, "GET", "/v1/tasks/42") as server:
            with tracing.span("tasks.today"):
                await asyncio.gather(query("tasks.of_day"), query("streaks.of_user"))
            return server.end("/v1/tasks/{id}", 200)

    ids = asyncio.run(handle())
    _send(running)

    assert len(receiver.spans) == 4
    assert {span.trace_id for span in receiver.spans} == {TRACE}
    request, use_case = receiver.named("GET /v1/tasks/{id}"), receiver.named("tasks.today")
    assert ids == (TRACE, request.span_id)
    assert (request.kind, request.parent_id) == ("SERVER", PARENT)
    assert request.attributes == {
        "http.request.method": "GET",
        "http.route": "/v1/tasks/{id}",
        "http.response.status_code": 200,
        "url.path": "/v1/tasks/42",
    }
    assert (use_case.kind, use_case.parent_id) == ("INTERNAL", request.span_id)
    for name in ("tasks.of_day", "streaks.of_user"):
        span = receiver.named(name)
        assert (span.kind, span.parent_id) == ("CLIENT", use_case.span_id)
        assert span.attributes == {
            "db.system.name": "postgresql",
            "db.response.returned_rows": 3,
        }
    assert not any(span.failed for span in receiver.spans)


def test_a_deferred_span_is_there_where_it_has_something_to_tell(receiver: Receiver) -> None:
    """A query in it, or a failure; alone it would say no more than the request."""
    running = trace_to(receiver.endpoint)
    later: list[asyncio.Task[None]] = []

    async def query(name: str) -> None:
        with tracing.span(name, CLIENT):
            await asyncio.sleep(0)

    async def handle() -> Ids | None:
        with tracing.server_span({}, "GET") as server:
            with tracing.deferred_span("quiet"):
                later.append(asyncio.create_task(query("after")))
            with tracing.deferred_span("asks"):
                await query("in it")
            with pytest.raises(ValueError, match="no"), tracing.deferred_span("fails"):
                raise ValueError("no")
            with tracing.deferred_span("named"):
                ids = tracing.current_ids()
            await later[0]
            server.end("/v1/x", 200)
            return ids

    ids = asyncio.run(handle())
    _send(running)
    assert ids == (receiver.named("GET /v1/x").trace_id, receiver.named("named").span_id)
    assert {span.name for span in receiver.spans} == {
        "GET /v1/x", "asks", "in it", "fails", "named", "after",
    }  # fmt: skip
    request, asks = receiver.named("GET /v1/x"), receiver.named("asks")
    assert receiver.named("in it").parent_id == asks.span_id
    assert receiver.named("after").parent_id == request.span_id
    fails = receiver.named("fails")
    assert (fails.parent_id, fails.failed) == (request.span_id, True)
    assert fails.attributes == {"error.type": "ValueError"}


def test_every_span_says_which_process_made_it(receiver: Receiver) -> None:
    """Service, version, environment, host and process."""
    running = trace_to(receiver.endpoint, OTEL_SERVICE_NAME="gtsd-api-test", APP_VERSION="1.2.3")
    with tracing.root_span("job", {"job.name": "cleanup"}), tracing.span("step"):
        pass
    _send(running)
    job, step = receiver.named("job"), receiver.named("step")
    assert (
        job.resource.items()
        >= {
            "service.name": "gtsd-api-test",
            "service.version": "1.2.3",
            "deployment.environment": "development",
            "host.name": socket.gethostname(),
            "process.pid": os.getpid(),
        }.items()
    )
    assert (job.parent_id, step.parent_id) == ("", job.span_id)
    assert job.attributes == {"job.name": "cleanup"}


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_endpoint_is_a_base_url(receiver: Receiver, slash: str) -> None:
    """The path of traces is appended, and the exporter does not trace its own requests."""
    running = trace_to(receiver.endpoint + slash)
    with tracing.server_span({}, "GET") as server:
        server.end("/v1/x", 200)
    _send(running)
    assert receiver.paths == ["/v1/traces"]
    assert "traceparent" not in receiver.headers[0]
    assert len(receiver.spans) == 1


def test_errors_go_without_their_messages(receiver: Receiver) -> None:
    """The type of an exception is told; what it says may be a secret."""
    running = trace_to(receiver.endpoint)
    with tracing.server_span({}, "POST", "/v1/x/eyJhbGciOiJIUzI1NiJ9.e.s") as server:
        with pytest.raises(ValueError, match="canary"), tracing.span("bug"):
            raise ValueError("canary of a message")
        with pytest.raises(NotFound), tracing.span("refusal"):
            raise NotFound("canary of a refusal")
        with pytest.raises(Unavailable), tracing.span("away"):
            raise Unavailable
        server.end("/v1/x/{id}", 500, ValueError("canary of the request"))
    _send(running)
    assert b"canary" not in b"".join(receiver.bodies)
    assert b"eyJ" not in b"".join(receiver.bodies)
    expected = {
        "bug": ("ValueError", True),
        "refusal": ("NotFound", False),
        "away": ("Unavailable", True),
        "POST /v1/x/{id}": ("ValueError", True),
    }
    got = {span.name: (span.attributes["error.type"], span.failed) for span in receiver.spans}
    assert got == expected
    assert {(span.status_message, span.events) for span in receiver.spans} == {("", 0)}


@pytest.mark.parametrize(
    ("status", "failed", "kind"), [(404, False, None), (503, True, "503"), (200, False, None)]
)
def test_only_our_own_faults_fail_the_request(
    receiver: Receiver, *, status: int, failed: bool, kind: str | None
) -> None:
    """A refusal is the client's; 503 without an exception is named by its number."""
    running = trace_to(receiver.endpoint)
    tracing.server_span({}, "GET").end("/v1/x", status)
    _send(running)
    (span,) = receiver.spans
    assert (span.failed, span.attributes.get("error.type")) == (failed, kind)


def test_a_request_that_nobody_ended_is_ended(receiver: Receiver) -> None:
    """Cancelled, or forgotten: the span is sent all the same, and its name stays bounded."""
    running = trace_to(receiver.endpoint)
    with pytest.raises(asyncio.CancelledError), tracing.server_span({}, "BREW"):
        raise asyncio.CancelledError
    with tracing.server_span({}, "GET"):
        pass
    _send(running)
    cancelled, forgotten = receiver.named("HTTP"), receiver.named("GET")
    assert cancelled.attributes["http.request.method"] == "_OTHER"
    assert (cancelled.failed, cancelled.attributes["error.type"]) == (True, "CancelledError")
    assert not forgotten.failed


def test_what_follows_the_end_of_a_request_is_no_child_of_it(receiver: Receiver) -> None:
    """Its ids stay for the log line, but no span is added to what was sent."""
    running = trace_to(receiver.endpoint)
    with tracing.server_span({}, "GET") as server:
        ids = server.end("/v1/x", 200)
        assert tracing.current_ids() == ids
        with tracing.span("late"):
            pass
    _send(running)
    assert [span.name for span in receiver.spans] == ["GET /v1/x"]


def test_outgoing_requests_carry_the_span_at_hand(receiver: Receiver) -> None:
    """The next service's parent is our client span, with the caller's state."""
    running = trace_to(receiver.endpoint)
    headers: dict[str, str] = {}
    with tracing.server_span(SAMPLED, "GET") as server:
        with tracing.span("s3.presign", CLIENT):
            tracing.inject(headers)
        server.end("/v1/x", 200)
    _send(running)
    span_id = receiver.named("s3.presign").span_id
    assert headers == {"traceparent": f"00-{TRACE}-{span_id}-01", "tracestate": "vendor=1"}


def test_the_ratio_decides_where_no_caller_did(receiver: Receiver) -> None:
    """At 0 nothing is made, and whom we call is told so; a caller that samples is followed."""
    running = trace_to(receiver.endpoint, OTEL_TRACES_SAMPLER_ARG="0")
    headers: dict[str, str] = {}
    with tracing.server_span({}, "GET") as server:
        with tracing.span("not made") as inner:
            inner.set("rows", 1)
            tracing.inject(headers)
        assert tracing.current_ids() is server.end("/v1/x", 200) is None
    asked = w3c.read(headers)
    assert asked is not None
    assert not asked.trace_flags.sampled
    with tracing.server_span(SAMPLED, "GET") as server:
        server.end("/v1/followed", 200)
    _send(running)
    assert [span.name for span in receiver.spans] == ["GET /v1/followed"]


def test_the_ratio_is_that_of_requests_and_of_jobs(receiver: Receiver) -> None:
    """Neither all nor none, once and not twice; and ids have those that can be looked at."""
    running = trace_to(receiver.endpoint, OTEL_TRACES_SAMPLER_ARG="0.5")
    ids = [tracing.server_span({}, "GET").end("/v1/x", 200) for _ in range(400)]
    for _ in range(400):
        with tracing.root_span("job"):
            pass
    _send(running)
    requests = [span for span in receiver.spans if span.name == "GET /v1/x"]
    assert {one.span_id for one in ids if one} == {span.span_id for span in requests}
    for name in ("GET /v1/x", "job"):
        assert 140 < sum(span.name == name for span in receiver.spans) < 260


def test_a_caller_that_does_not_sample_is_followed_too(receiver: Receiver) -> None:
    """At a ratio of 1."""
    running = trace_to(receiver.endpoint)
    with tracing.server_span(NOT_SAMPLED, "GET") as server:
        ids = server.end("/v1/x", 200)
    assert ids is not None
    assert ids.trace_id == TRACE
    with tracing.server_span({}, "GET") as server:
        server.end("/v1/mine", 200)
    _send(running)
    assert [span.name for span in receiver.spans] == ["GET /v1/mine"]
