"""Traces, lines and series of the whole service, asked over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from urllib.parse import quote

import msgspec
import pytest

from gtsd.settings import Settings
from gtsd.telemetry import log
from gtsd.telemetry.metrics import series
from tests.api.conftest import Start
from tests.api.telemetry.receiver import Receiver, trace_to
from tests.support.client import Client
from tests.unit.telemetry.captured import Captured

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"
BUDGET = 2_000


@pytest.fixture
def captured(settings: Settings) -> Iterator[Captured]:
    """The log of the service with all that it can say, as production writes it."""
    chosen = msgspec.structs.replace(settings, log_level="trace")
    running = Captured(lambda fd: log.configure(chosen, fd))
    yield running
    running.close()


async def test_a_served_request_is_one_tree_with_its_queries(
    receiver: Receiver, start: Start
) -> None:
    """From the caller's header down to PostgreSQL and Redis, each under the request."""
    tracing = trace_to(receiver.endpoint)
    service = await start()
    ada = await service.person()
    answer = await ada.call(
        "GET", "/v1/tasks/today?date=2026-11-18", headers={"traceparent": TRACEPARENT}
    )
    assert answer.status == 200
    assert await asyncio.to_thread(tracing.shutdown, 10)
    tree = [span for span in receiver.spans if span.trace_id == TRACE]
    (request,) = [span for span in tree if span.kind == "SERVER"]
    assert request.name == "GET /v1/tasks/today"
    assert request.attributes["url.path"] == "/v1/tasks/today"
    ids = {span.span_id for span in tree}
    assert all(span.parent_id in ids for span in tree if span is not request)
    systems = {span.attributes.get("db.system.name") for span in tree if span.kind == "CLIENT"}
    assert systems == {"postgresql", "redis"}
    (use_case,) = [span for span in tree if span.kind == "INTERNAL"]
    assert use_case.name == "tasks.today"
    (query,) = [span for span in tree if span.name == "today"]
    assert (use_case.parent_id, query.parent_id) == (request.span_id, use_case.span_id)
    # Another request is another trace.
    assert {span.trace_id for span in receiver.spans} > {TRACE}


async def test_what_is_answered_out_of_the_cache_has_one_span_beside_the_request(
    receiver: Receiver, start: Start
) -> None:
    """Its limit and its answer were asked for together, and nothing was left to do."""
    tracing = trace_to(receiver.endpoint)
    service = await start()
    ada = await service.person()
    for own in ({}, {"traceparent": TRACEPARENT}):
        assert (await ada.call("GET", "/v1/tasks/today", headers=own)).status == 200
    assert await asyncio.to_thread(tracing.shutdown, 10)
    tree = [span for span in receiver.spans if span.trace_id == TRACE]
    (request,) = [span for span in tree if span.kind == "SERVER"]
    (redis,) = [span for span in tree if span is not request]
    assert (redis.name, redis.parent_id) == ("redis PIPELINE", request.span_id)


async def test_an_exemplar_leads_to_a_trace_that_was_sent(receiver: Receiver, start: Start) -> None:
    """Of a request that is not sampled nothing is sent, so nothing may point there."""
    tracing = trace_to(receiver.endpoint)
    service = await start()
    pages = []
    for sampled in ("00", "01"):
        own = {"traceparent": f"{TRACEPARENT[:-2]}{sampled}"}
        assert (await service.client.call("GET", "/openapi.json", headers=own)).status == 200
        wanted = {"Accept": "application/openmetrics-text"}
        pages.append((await service.client.call("GET", "/metrics", headers=wanted)).body.decode())
    assert await asyncio.to_thread(tracing.shutdown, 10)
    assert [f'trace_id="{TRACE}"' in page for page in pages] == [False, True]


async def test_lines_of_a_request_carry_its_trace(captured: Captured, start: Start) -> None:
    """With tracing off as well, also when the request is refused."""
    service = await start()
    for path, status in (("/openapi.json", 200), ("/auth/me", 401)):
        answer = await service.client.call("GET", path, headers={"traceparent": TRACEPARENT})
        assert answer.status == status
    lines = [line for line in captured.lines() if "res" in line]
    assert [line.get("trace_id") for line in lines] == [TRACE, TRACE]


PASSWORD = "Canary-horse-7"
EMAIL = "canary.person@mail.example.com"


async def _misuse(client: Client, person: Client) -> list[str]:
    """Everything that a client may send by mistake; gives the secrets in it."""
    body = {"email": EMAIL, "password": PASSWORD}
    await client.post("/auth/login", body)
    await client.post("/auth/login", {**body, "password": "Other-canary-8"})
    await client.post("/auth/login", {**body, "canaryField": "canaryValue"})
    await client.call("POST", "/auth/login", raw=b'{"password": "Broken-canary-9')
    await client.call("GET", f"/auth/me?token={person.token}&x=canaryQuery")
    await client.call("GET", f"/nowhere/{quote(EMAIL)}?password={PASSWORD}")
    await client.call("GET", f"/reset/{'0123456789abcdef' * 4}")
    await client.call("GET", "/auth/me", token="eyJhbGciOiJub25lIn0.canaryToken.")
    await client.call("GET", "/auth/me", headers={"Cookie": "session=canaryCookie"})
    await client.post("/auth/refresh", {"refreshToken": "canaryRefresh"})
    await person.post("/v1/tasks", {"title": "canaryTitle", "dueDate": "2026-11-18"})
    assert person.token is not None
    given = [EMAIL, EMAIL.partition("@")[0], PASSWORD, "Other-canary-8", "Broken-canary-9"]
    given += ["canaryValue", "canaryQuery", "canaryToken", "canaryCookie", "canaryRefresh"]
    given += ["0123456789abcdef" * 4, "canaryTitle", person.token, person.refresh_token]
    return [*given, *person.token.split(".")]


async def test_no_secret_of_a_client_is_ever_in_the_log(captured: Captured, start: Start) -> None:
    """Sign-up, logins right and wrong, broken bodies, tokens in the wrong places, at trace level.

    The control is in the same run: the lines are there, with the paths and the statuses.
    """
    service = await start()
    person = await service.person(email=EMAIL, password=PASSWORD)
    client = Client(service.base, validates=False)
    secrets = await _misuse(client, person)
    lines = captured.lines()
    written = captured.raw().decode()
    assert [secret for secret in secrets if secret in written] == []
    asked = [(line["req"]["url"], line["res"]["statusCode"]) for line in lines if "res" in line]
    assert ("/auth/login", 401) in asked
    assert ("/auth/me", 401) in asked
    assert len(asked) >= 12


async def test_no_path_or_method_of_a_client_becomes_a_series(start: Start) -> None:
    """Hundreds of them, and the page has as many lines as after the first ones."""
    service = await start()
    client = Client(service.base, validates=False)

    async def ask(numbers: range) -> int:
        for n in numbers:
            await client.call("GET", f"/v1/tasks/{n}")
            await client.call("GET", f"/nowhere/{n}?x={n}")
            await client.call(f"BREW{n}", "/v1/tasks/today")
        return series(service.deps.metrics)

    first = await ask(range(3))
    assert await ask(range(100, 160)) == first <= BUDGET
    page = (await client.call("GET", "/metrics")).body.decode()
    assert "nowhere" not in page
    assert "BREW" not in page
    assert 'route="/v1/tasks/{id}"' in page
