"""The page of metrics does not grow with what clients ask for."""

from __future__ import annotations

import random

from prometheus_client import CollectorRegistry, Counter, generate_latest

from tests.api.conftest import Start
from tests.api.web.conftest import Dial
from tests.support.client import Client

REQUESTS = 10_000
BATCH = 100
BUDGET = 2_000
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "X1"]
KNOWN = ["/v1/tasks", "/auth/login", "/auth/me", "/healthz", "/v1/streaks/me", "/openapi.json"]


def _request(chance: random.Random, number: int) -> tuple[str, bytes]:
    """Method and bytes of a request that nobody has thought of."""
    method = chance.choice(METHODS) if number % 7 else f"M{number}"
    path = chance.choice(
        [
            chance.choice(KNOWN),
            f"/canary{chance.getrandbits(64):x}/{number}",
            f"/v1/tasks/{chance.getrandbits(60)}",
            f"/v1/tasks/{chance.getrandbits(60)}/complete?canary{number}=1",
            f"/auth/sessions/canary{number}",
        ]
    )
    body = chance.choice([b"", b"{}", b'{"canary": 1}', b"{"])
    kind = chance.choice(["application/json", "text/plain", f"canary/{number}"])
    head = f"{method} {path} HTTP/1.1\r\nHost: canary{number}\r\nContent-Type: {kind}\r\n"
    return method, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _series(page: str) -> int:
    return len([line for line in page.splitlines() if line and not line.startswith("#")])


async def test_10000_random_requests_make_no_more_than_2000_series(
    start: Start, dial: Dial
) -> None:
    """Methods, paths, ids and statuses of all kinds, and none of them is a label (fault 7)."""
    service = await start()
    wire = await dial(service)
    chance = random.Random(7)
    statuses: set[int] = set()
    for first in range(0, REQUESTS, BATCH):
        batch = [_request(chance, number) for number in range(first, first + BATCH)]
        await wire.send(b"".join(sent for _, sent in batch))
        for method, _ in batch:
            statuses.add((await wire.answer(to_head=method == "HEAD")).status)
    assert statuses == {200, 204, 400, 401, 404, 405, 415}
    page = (await Client(service.base).get("/metrics")).body.decode()
    assert _series(page) <= BUDGET
    assert "canary" not in page
    counted = [line for line in page.splitlines() if line.startswith("gtsd_http_requests_total{")]
    assert sum(float(line.rpartition(" ")[2]) for line in counted) == REQUESTS
    assert any('method="other",route="unmatched",status="405"' in line for line in counted)
    bucket = 'gtsd_http_request_duration_seconds_bucket{le="0.1",method="GET",'
    assert f'{bucket}route="/v1/tasks/{{id}}"}}' in page


def test_a_label_of_what_was_asked_would_be_found() -> None:
    """The control: the same requests, counted by their paths as they were sent."""
    registry, chance = CollectorRegistry(), random.Random(7)
    counter = Counter("asked", "Requests.", ("path",), registry=registry)
    for number in range(REQUESTS):
        counter.labels(_request(chance, number)[1].split(b" ")[1].decode()).inc()
    assert _series(generate_latest(registry).decode()) > BUDGET
