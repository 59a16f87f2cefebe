"""Headers of every answer, the request id, and what browsers of other origins may do."""

from __future__ import annotations

import pytest

from gtsd.web.headers import SECURITY
from tests.api.conftest import Running, Start
from tests.api.web.conftest import Dial
from tests.support.client import Client, Response

APP = "https://app.example.org"
OTHER = "https://evil.example.org"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("GET", "/metrics", 200),
        ("GET", "/openapi.json", 200),
        ("HEAD", "/health", 200),
        ("OPTIONS", "/auth/me", 204),
        ("GET", "/auth/me", 401),
        ("GET", "/nowhere", 404),
        ("PUT", "/auth/me", 405),
    ],
)
async def test_every_answer_carries_the_security_headers(
    service: Running, method: str, path: str, status: int
) -> None:
    """Whatever it is an answer to."""
    answer = await Client(service.base, validates=False).call(method, path)
    assert answer.status == status
    _check_security(answer)
    assert "Server" not in answer.headers


def _check_security(answer: Response) -> None:
    for name, value in SECURITY.items():
        assert answer.headers.get_list(name) == [value], name
    assert answer.headers["X-Request-ID"]
    assert answer.headers["Date"].endswith("GMT")


async def test_security_headers_are_there_without_a_body_and_before_one(
    ada: Client, service: Running, dial: Dial
) -> None:
    """On 304, and on a 413 that was given for the headers alone."""
    tag = (await ada.get("/auth/me")).headers["ETag"]
    unchanged = await ada.get("/auth/me", headers={"If-None-Match": tag})
    assert unchanged.status == 304
    _check_security(unchanged)
    wire = await dial(service)
    await wire.send(b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n")
    refused = await wire.answer()
    assert refused.status == 413
    assert {refused.headers[name.lower()] for name in SECURITY} == set(SECURITY.values())


async def test_the_page_for_people_may_run_its_own_script_and_nothing_else(
    service: Running,
) -> None:
    """It relaxes one header and keeps the others."""
    answer = await service.client.get("/docs")
    policy = answer.headers.get_list("Content-Security-Policy")
    assert len(policy) == 1
    assert policy[0].startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy[0]
    assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("given", ["a", "mine-7", "A.b_c-9", "x" * 128])
async def test_a_fit_request_id_is_kept(service: Running, given: str) -> None:
    """So that a client finds its requests in our log."""
    answer = await service.client.get("/auth/me", headers={"X-Request-ID": given})
    assert answer.headers["X-Request-ID"] == answer.error["requestId"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a/b", "ä", "a\tb", '{"a":1}', "a,b"])
async def test_an_unfit_request_id_is_replaced(service: Running, given: str) -> None:
    """It would be logged and shown; each one is new."""
    answers = [
        await service.client.get("/auth/me", headers={"X-Request-ID": given}) for _ in range(2)
    ]
    made = {answer.headers["X-Request-ID"] for answer in answers}
    assert len(made) == 2
    assert all(len(name) == 32 and name.isalnum() for name in made)


def _cors(answer: Response) -> dict[str, str]:
    return {
        name.removeprefix("Access-Control-"): value
        for name, value in answer.headers.get_all()
        if name.startswith("Access-Control-")
    }


async def test_a_listed_origin_may_read_answers_and_errors(start: Start) -> None:
    """By its own name, never by a star, and without credentials of the browser (fault 19)."""
    service = await start(cors_origins=(APP, "https://second.example.org"))
    for path in ("/healthz", "/auth/me", "/nowhere"):
        answer = await service.client.get(path, headers={"Origin": APP})
        allowed = _cors(answer)
        assert allowed.pop("Allow-Origin") == APP
        assert set(allowed) == {"Expose-Headers"}
        assert "X-Request-ID" in allowed["Expose-Headers"]
        assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("origin", [OTHER, "null", f"{APP}.evil.example", "http://app.example.org"])
async def test_a_foreign_origin_may_read_nothing(start: Start, origin: str) -> None:
    """Not by a preflight either; caches are told that it depends on the origin."""
    service = await start(cors_origins=(APP,))
    for method in ("GET", "OPTIONS"):
        asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        answer = await service.client.call(method, "/auth/me", headers=asked)
        assert _cors(answer) == {}
        assert answer.headers["Vary"] == "Origin"


async def test_without_an_origin_nothing_is_allowed_but_caches_are_told(start: Start) -> None:
    """Else an answer kept for somebody else would be without the permission."""
    service = await start(cors_origins=(APP,))
    answer = await service.client.get("/openapi.json")
    assert _cors(answer) == {}
    assert answer.headers["Vary"] == "Origin"


async def test_nobody_is_allowed_where_no_origin_is_listed(service: Running) -> None:
    """The default."""
    answer = await service.client.get("/healthz", headers={"Origin": APP})
    assert _cors(answer) == {}
    assert "Vary" not in answer.headers


async def test_a_preflight_names_methods_and_headers(start: Start) -> None:
    """As a browser asks before it sends a token."""
    service = await start(cors_origins=(APP,))
    asked = {
        "Origin": APP,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
    }
    answer = await service.client.call("OPTIONS", "/v1/tasks/7", headers=asked)
    assert (answer.status, answer.body) == (204, b"")
    allowed = _cors(answer)
    assert allowed["Allow-Origin"] == APP
    assert "PATCH" in allowed["Allow-Methods"]
    listed = {name.strip().lower() for name in allowed["Allow-Headers"].split(",")}
    assert {"authorization", "content-type", "idempotency-key"} <= listed
    assert "Allow-Credentials" not in allowed


async def test_options_without_an_origin_lists_the_methods(service: Running) -> None:
    """For people with curl."""
    answer = await service.client.call("OPTIONS", "/v1/tasks")
    assert (answer.status, answer.headers["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")
