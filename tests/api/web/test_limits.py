"""How often somebody may ask, and what is said when it was too often."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

from gtsd.clock import FixedClock
from tests.api.conftest import Running, Start
from tests.support.client import PASSWORD, Client, Response

# Redis outlives a test, so each one has addresses of its own.
_hosts = itertools.count(1)


def _from_somewhere() -> dict[str, str]:
    number = next(_hosts)
    return {"X-Forwarded-For": f"198.18.{number // 250}.{number % 250}"}


def _shown(answer: Response) -> tuple[int, int, int]:
    names = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
    limit, remaining, reset = (int(answer.headers[name]) for name in names)
    return limit, remaining, reset


def _check_limited(answer: Response, amount: int) -> None:
    assert (answer.status, answer.error["code"]) == (429, "rate_limited")
    assert _shown(answer)[:2] == (amount, 0)
    assert 1 <= int(answer.headers["Retry-After"]) <= 120


async def test_an_address_without_a_token_is_limited_and_told_how_it_stands(
    start: Start, clock: FixedClock
) -> None:
    """Another one is not, nor are the probes; after the time it was told it may ask again."""
    service = await start(limit_anonymous=3)
    here, there = _from_somewhere(), _from_somewhere()
    for left in (2, 1, 0):
        answer = await service.client.get("/openapi.json", headers=here)
        assert answer.status == 200
        assert _shown(answer)[:2] == (3, left)
        assert _shown(answer)[2] >= 1
    refused = await service.client.get("/openapi.json", headers=here)
    _check_limited(refused, 3)
    assert (await service.client.get("/openapi.json", headers=there)).status == 200
    for path in ("/healthz", "/ready", "/health", "/metrics"):
        probe = await service.client.get(path, headers=here)
        assert (probe.status, "RateLimit-Limit" in probe.headers) == (200, False)
    page = (await service.client.get("/metrics")).body
    assert b'gtsd_limited_requests_total{limit="anonymous"} 1.0' in page
    clock.move(timedelta(seconds=int(refused.headers["Retry-After"])))
    assert (await service.client.get("/openapi.json", headers=here)).status == 200


async def test_guessing_tokens_counts_for_the_address(start: Start) -> None:
    """It comes without a token that is known."""
    service = await start(limit_anonymous=2)
    here = _from_somewhere()
    for status in (401, 401, 429):
        answer = await service.client.get("/auth/me", headers=here, token="guessed")
        assert answer.status == status


async def test_a_user_is_limited_wherever_requests_come_from(start: Start) -> None:
    """And nobody else is, though at the same address."""
    service = await start(limit_user=3, limit_anonymous=4)
    here = _from_somewhere()
    ada, bob = await _person(service, here), await _person(service, here)
    for left in (2, 1, 0):
        answer = await ada.get("/auth/me", headers=_from_somewhere())
        assert (answer.status, *_shown(answer)[:2]) == (200, 3, left)
    _check_limited(await ada.get("/auth/me", headers=_from_somewhere()), 3)
    assert (await bob.get("/auth/me", headers=here)).status == 200


async def _person(service: Running, headers: dict[str, str]) -> Client:
    body = {"email": f"limited{next(_hosts)}@example.com", "password": PASSWORD, "name": "Ada"}
    answer = await service.client.post("/auth/signup", body, headers=headers)
    return service.client.signed_in(answer.data)


async def test_auth_writes_are_limited_by_address_together(start: Start) -> None:
    """Sign-ups, logins, refreshes and mails share one limit; reads go on."""
    service = await start(limit_auth_write=3)
    here = _from_somewhere()
    ada = await _person(service, here)
    spent = {"refreshToken": ada.refresh_token}
    mail = {"email": ada.user["email"]}
    asked: list[tuple[Client, str, str, Any]] = [
        (service.client, "POST", "/auth/refresh", spent),
        (ada, "PATCH", "/auth/me", {"name": "Ada King"}),
    ]
    for client, method, path, body in asked:
        assert (await client.call(method, path, body, headers=here)).status == 200, path
    _check_limited(await service.client.post("/auth/forgot-password", mail, headers=here), 3)
    _check_limited(await ada.patch("/auth/me", {"name": "Ada"}, headers=here), 3)
    assert (await ada.get("/auth/me", headers=here)).status == 200


async def test_expensive_requests_have_a_limit_of_their_own(start: Start) -> None:
    """By user; others of the same user go on."""
    service = await start(limit_heavy=2)
    ada = await service.person()
    statuses = [(await ada.post("/v1/streaks/check-compliance", {})).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert (await ada.get("/v1/streaks/me")).status == 200


async def test_an_address_is_not_what_its_client_says(start: Start) -> None:
    """A header from anybody but a trusted proxy leads to no other count; from one it does."""
    for trusted, last in ((("10.0.0.0/8",), 429), (("127.0.0.1/32",), 200)):
        service = await start(limit_anonymous=2, redis_url=None, trusted_proxies=trusted)
        statuses = [
            (await service.client.get("/openapi.json", headers=_from_somewhere())).status
            for _ in range(3)
        ]
        assert statuses == [200, 200, last]


async def test_limits_are_shared_by_all_processes(start: Start) -> None:
    """Asking another one does not help."""
    first, second = await start(limit_anonymous=2), await start(limit_anonymous=2)
    here = _from_somewhere()
    for service, status in ((first, 200), (second, 200), (first, 429), (second, 429)):
        assert (await service.client.get("/openapi.json", headers=here)).status == status


async def test_without_redis_each_process_limits_by_itself(start: Start) -> None:
    """As many as there are processes times the limit, and not without end."""
    service = await start(limit_anonymous=2, redis_url=None)
    here = _from_somewhere()
    statuses = [(await service.client.get("/openapi.json", headers=here)).status for _ in range(3)]
    assert statuses == [200, 200, 429]
