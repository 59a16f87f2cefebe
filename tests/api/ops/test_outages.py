"""Redis or PostgreSQL goes away while the service runs, and comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from gtsd.dev.postgres import EmbeddedPostgres
from tests.api.conftest import Running, Start
from tests.api.profile.bodies import CHECKED
from tests.support.client import PASSWORD, Client, Response
from tests.support.pace import quickest, seconds
from tests.support.proxy import Verdict, proxy_to
from tests.support.redis import own_redis

# What the database may say, and a client must never read.
DATABASE_WORDS = (b"connect", b"psycopg", b"server closed", b"127.0.0.1", b"postgres", b"SQL")
ACKNOWLEDGED = {"version": 1, "metricsComputedAt": "2026-11-18T12:00:00.000Z"}


async def _until(condition: Callable[[], Awaitable[bool]], bound_s: float) -> None:
    ends = time.monotonic() + bound_s
    while not await condition():
        assert time.monotonic() < ends
        await asyncio.sleep(0.05)


async def _health(service: Running) -> tuple[int, dict[str, Any]]:
    """Its answer, which must not take longer than a second whatever is away."""
    answers: list[Response] = []

    async def ask() -> None:
        answers.append(await service.client.get("/health"))

    assert await quickest(lambda: seconds(ask()), 1) < 1
    return answers[-1].status, answers[-1].json


async def _use_everything(service: Running, number: int) -> list[tuple[str, int]]:
    """One use of each kind of route, by somebody new; gives what did not work."""
    failed: list[tuple[str, int]] = []

    async def ask(client: Client, method: str, path: str, body: Any = None) -> Response:
        answer = await client.call(method, path, body)
        if answer.status >= 400:
            failed.append((f"{method} {path}", answer.status))
        return answer

    email = f"everything{number}@example.com"
    account = {"email": email, "password": PASSWORD}
    await ask(service.client, "POST", "/auth/signup", {**account, "name": "Ada"})
    signed_in = await ask(service.client, "POST", "/auth/login", account)
    ada = service.client.signed_in(signed_in.data)
    spent = {"refreshToken": ada.refresh_token}
    spare = (await ask(ada, "POST", "/auth/refresh", spent)).data["refreshToken"]
    await ask(ada, "POST", "/v1/onboarding", CHECKED)
    await ask(ada, "POST", "/v1/plans/generate", {})
    await ask(ada, "PATCH", "/v1/profile", {"health": {"currentWeight": 120}})
    seen = (await ask(ada, "GET", "/v1/profile/metrics/today")).data
    words = {name: seen[name] for name in ("version", "metricsComputedAt")}
    await ask(ada, "POST", "/v1/profile/metrics/acknowledge", words)
    task = (await ask(ada, "POST", "/v1/tasks", {"title": "Read"})).data["id"]
    proof = {"taskId": task, "type": "text_log", "data": {"text": "Ten pages"}}
    await ask(ada, "POST", "/v1/evidence", proof)
    for path in (
        "/v1/tasks/today",
        "/v1/tasks/today",
        "/v1/tasks",
        f"/v1/tasks/{task}",
        f"/v1/tasks/{task}/evidence",
        "/v1/streaks/me",
        "/v1/streaks/history",
        "/auth/me",
        "/auth/sessions",
        "/auth/me/export",
        "/v1/profile",
        "/v1/profile/audit",
        "/v1/summary/how-it-works",
        "/v1/plans/current",
        "/openapi.json",
        "/docs",
        "/healthz",
        "/ready",
        "/health",
        "/metrics",
    ):
        await ask(ada, "GET", path)
    for verb in ("uncomplete", "complete"):
        await ask(ada, "POST", f"/v1/tasks/{task}/{verb}")
    await ask(ada, "POST", "/v1/streaks/check-compliance", {})
    await ask(ada, "PATCH", "/auth/me", {"name": "Ada King"})
    await ask(ada, "POST", "/auth/forgot-password", {"email": email})
    await ask(service.client, "POST", "/auth/logout", {"refreshToken": spare})
    return failed


async def test_without_redis_every_route_works_and_it_is_used_again_within_5_s(
    start: Start,
) -> None:
    """Health says what is missing, and nobody else has to notice (fault 8)."""
    with own_redis() as redis:
        service = await start(redis_url=redis.url, redis_timeout=1.0)
        assert await _use_everything(service, 1) == []
        assert (await _health(service))[1]["redis"] == "connected"
        assert _hits(service) > 0
        redis.kill()
        assert await _use_everything(service, 2) == []
        status, health = await _health(service)
        assert (status, health["status"], health["redis"]) == (200, "degraded", "disconnected")
        assert (await service.client.get("/ready")).status == 200
        await asyncio.to_thread(redis.start)

        async def healthy() -> bool:
            return bool((await _health(service))[1]["status"] == "healthy")

        await _until(healthy, 5)
        before = _hits(service)
        assert await _use_everything(service, 3) == []
        assert _hits(service) > before


async def test_without_postgresql_the_service_says_so_and_recovers_by_itself(
    start: Start, postgres_server: EmbeddedPostgres
) -> None:
    """No answer takes long or quotes the database (faults 5 and 9), and the process lives on."""
    service = await start()
    ada = await service.person()
    try:
        await asyncio.to_thread(postgres_server.stop)
        for _ in range(2):  # with connections that were open, and without
            status, health = await _health(service)
            assert (status, health["status"], health["database"]) == (
                503,
                "unhealthy",
                "disconnected",
            )
        ready = await service.client.get("/ready")
        assert (ready.status, ready.json) == (503, {"status": "no_database", "version": "unknown"})
        for method, path, body in (
            ("GET", "/auth/me", None),
            ("GET", "/auth/me/export", None),
            ("GET", "/v1/tasks", None),
            ("POST", "/v1/onboarding", CHECKED),
            ("PATCH", "/v1/profile", {"health": {"currentWeight": 80}}),
            ("GET", "/v1/profile", None),
            ("GET", "/v1/profile/audit", None),
            ("GET", "/v1/profile/metrics/today", None),
            ("POST", "/v1/profile/metrics/acknowledge", ACKNOWLEDGED),
            ("GET", "/v1/summary/how-it-works", None),
            ("POST", "/v1/plans/generate", {}),
            ("GET", "/v1/plans/current", None),
            ("POST", "/v1/tasks", {"title": "Read"}),
            ("POST", "/auth/login", {"email": "ada@example.com", "password": PASSWORD}),
        ):
            answer = await ada.call(method, path, body)
            assert (answer.status, answer.error["code"]) == (503, "dependency_unavailable"), path
            assert answer.headers["Retry-After"] == "1"
            assert [word for word in DATABASE_WORDS if word in answer.body] == []
        assert (await service.client.get("/healthz")).status == 200
    finally:
        await asyncio.to_thread(postgres_server.start)

    async def ready_again() -> bool:
        return (await service.client.get("/ready")).status == 200

    await _until(ready_again, 5)
    assert (await ada.get("/auth/me")).status == 200
    assert (await ada.post("/v1/tasks", {"title": "Read"})).status == 201


async def test_health_answers_within_a_second_when_postgresql_swallows_everything(
    start: Start, postgres_server: EmbeddedPostgres
) -> None:
    """Packets that vanish tell nobody that the server is gone, on old connections or new ones."""
    async with proxy_to(postgres_server.port) as proxy:
        url = (await start()).deps.settings.database_url
        service = await start(
            database_url=url.replace(f":{postgres_server.port}/", f":{proxy.port}/"),
            database_pool_size=2,
        )
        assert (await _health(service))[0] == 200
        proxy.judge = lambda _: Verdict.SWALLOW
        proxy.gate.clear()
        for _ in range(3):
            status, health = await _health(service)
            assert (status, health["database"]) == (503, "disconnected")
            assert (await service.client.get("/healthz")).status == 200
        proxy.judge = lambda _: Verdict.PASS
        proxy.gate.set()

        async def healthy() -> bool:
            return (await _health(service))[0] == 200

        await _until(healthy, 10)


async def test_ready_is_503_while_starting(service: Running) -> None:
    """Its body says why, in one word."""
    service.deps.life.ready = False
    answer = await service.client.get("/ready")
    assert (answer.status, answer.json) == (503, {"status": "starting", "version": "unknown"})
    assert (await service.client.get("/healthz")).status == 200


def _hits(service: Running) -> float:
    return float(service.deps.metrics.cache_requests.labels("today", "hit")._value.get())
