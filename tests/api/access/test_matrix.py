"""Nobody gets in who must not, on any route; and the same matrix finds routes that are wrong."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from gtsd import app
from gtsd.errors import NotFound
from gtsd.stores.postgres import Query
from gtsd.tasks import handlers as tasks
from gtsd.web.answers import Answer, success
from gtsd.web.call import Account, Call
from gtsd.web.openapi import document
from gtsd.web.pipeline import Pipeline
from gtsd.web.routes import Policy, Route, RouteTable
from gtsd.web.tokens import AccessTokens, Verified
from tests.api.access.matrix import Matrix, named, without_maker
from tests.api.conftest import Start

# Each one is asked by strangers on purpose; whoever adds one says here what keeps it safe.
OPEN = {
    "POST /auth/signup": "a new account harms nobody; limited by address",
    "POST /auth/login": "takes a password; failures are counted",
    "POST /auth/refresh": "takes a refresh token",
    "POST /auth/logout": "takes a refresh token, and only ends it",
    "POST /auth/forgot-password": "answers the same whoever asks",
    "POST /auth/reset-password": "takes a token that was mailed",
    "POST /auth/verify-email": "takes a token that was mailed",
    "POST /v1/sms/inbound": "looks at the provider's signature first",
}
_ANY_TASK = Query("any_task", "SELECT title FROM tasks WHERE id = %(id)s")
_ANY_SKIP = Query("any_skip", "UPDATE tasks SET title = 'x' WHERE id = %(id)s")


def not_agreed(routes: tuple[Route, ...]) -> list[str]:
    """Routes that strangers may call, and of which nobody has said why."""
    titles = [f"{r.method} {r.template}" for r in routes if r.policy is Policy.PUBLIC]
    return [title for title in titles if title not in OPEN]


def test_every_route_for_strangers_was_agreed_on() -> None:
    """A policy that was mistyped opens no door in silence."""
    assert not_agreed(app.table().routes) == []
    opened = replace(app.table().match("GET", "/v1/tasks/1").route, policy=Policy.PUBLIC)
    assert not_agreed((opened,)) == ["GET /v1/tasks/{id}"]


def test_a_route_without_a_policy_is_no_route() -> None:
    """It cannot be written down, and a table that was given one all the same does not start."""
    with pytest.raises(TypeError, match="policy"):
        Route("GET", "/x", tasks.show, summary="X", tag="tasks")  # type: ignore[call-arg]  # it is missing
    undecided = Route("GET", "/x", tasks.show, None, "X", "tasks")  # type: ignore[arg-type]  # it is none
    with pytest.raises(TypeError, match="GET /x has no policy"):
        RouteTable([undecided])


def test_everything_that_a_route_refers_to_can_be_made() -> None:
    """An id in a path, a body or a query is one of the victim's, else nothing would be tried."""
    routes = app.table().routes
    described = document(app.table(), "0.0.0")
    assert without_maker(routes, described) == []
    proof = app.table().match("POST", "/v1/evidence").route
    assert named(proof, described) == ["taskId"]
    assert without_maker([proof], described, {}) == ["POST /v1/evidence: taskId"]
    evidence = app.table().match("GET", "/v1/tasks/1/evidence").route
    assert without_maker([evidence], described, {}) == [
        "GET /v1/tasks/{id}/evidence: /v1/tasks/{id}"
    ]


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "tag", sorted({route.tag for route in app.table().routes if route.policy is Policy.USER})
)
async def test_routes_for_users_are_closed_to_everybody_else(start: Start, tag: str) -> None:
    """401 without a token or with a spent one, 403 when deactivated, 404 for what is another's.

    Nothing of the victim is read or changed, and the same request of the victim's is accepted.
    """
    routes = [
        route for route in app.table().routes if (route.tag, route.policy) == (tag, Policy.USER)
    ]
    matrix = Matrix(await start(), routes)
    assert await matrix.protected() == []
    assert matrix.calls >= 5 * len(routes) > 0


async def test_routes_for_strangers_give_nothing_away(start: Start) -> None:
    """Whatever token comes along; nobody is signed in by what a deactivated account still has."""
    matrix = Matrix(await start(), app.table().routes)
    assert await matrix.open() == []


@pytest.mark.timeout(180)
async def test_methods_that_are_not_in_the_table_are_refused(start: Start) -> None:
    """On every path, whoever asks."""
    matrix = Matrix(await start(), app.table().routes)
    assert await matrix.other_methods() == []
    assert matrix.calls > 300


async def _read_any(call: Call) -> Answer:
    title = await call.deps.postgres.value(_ANY_TASK, id=call.params["id"])
    if title is None:
        raise NotFound
    return success(b'"%b"' % title.encode())


async def _write_any(call: Call) -> Answer:
    async with call.deps.postgres.transaction() as tx:
        await tx.execute(_ANY_SKIP, id=call.params["id"])
    raise NotFound


BAD = {
    "one that looks at no user": (
        Route("GET", "/v1/tasks/{id}/x", _read_any, Policy.USER, "X", "tasks"),
        {"another got 200", "another read what is the victim's"},
    ),
    "one that writes before it looks": (
        Route("POST", "/v1/tasks/{id}/x", _write_any, Policy.USER, "X", "tasks"),
        {"another changed what is the victim's", "the owner got 404, so nothing is proved"},
    ),
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_route_for_users_that_is_wrong_is_found(
    start: Start, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The same matrix says what happened, and to whom."""
    bad, wanted = BAD[kind]
    monkeypatch.setattr(app, "_ROUTES", (*app._ROUTES, bad))
    found = {line.partition(": ")[2] for line in await Matrix(await start(), [bad]).protected()}
    assert wanted <= found


async def test_a_route_that_is_open_by_mistake_is_found(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks gets the victim's task."""
    bad = Route("GET", "/v1/tasks/{id}/x", _read_any, Policy.PUBLIC, "X", "tasks")
    monkeypatch.setattr(app, "_ROUTES", (*app._ROUTES, bad))
    found = await Matrix(await start(), [bad]).open()
    assert len(found) == 4
    assert "canary" in found[0]


async def test_doors_that_do_not_close_are_found(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens without an end, accounts without an end, and methods that nobody has listed."""
    service = await start()
    route = app.table().match("GET", "/v1/streaks/me").route
    checked, matched = AccessTokens._checked, service.api.match

    def endless(tokens: AccessTokens, claims: dict[str, object]) -> Verified:
        return Verified(int(str(claims["sub"])), "x", math.inf)

    monkeypatch.setattr(AccessTokens, "_checked", endless)
    found = await Matrix(service, [route]).protected()
    assert found == ["GET /v1/streaks/me: expired got 200", "HEAD /v1/streaks/me: expired got 200"]
    monkeypatch.setattr(AccessTokens, "_checked", checked)

    async def anybody(pipeline: Pipeline, call: Call) -> Account:
        call.token = pipeline._deps.tokens.verify(call.request.headers["Authorization"][7:])
        return Account(id=call.token.user_id, timezone="UTC", is_active=True)

    monkeypatch.setattr(Pipeline, "_identify", anybody)
    found = await Matrix(service, [route]).protected()
    assert "GET /v1/streaks/me: deactivated got 200" in found
    monkeypatch.setattr(
        service.api, "match", lambda name, path: matched("GET" if name == "PUT" else name, path)
    )
    assert "PUT /v1/streaks/me: 401" in await Matrix(service, [route]).other_methods()
