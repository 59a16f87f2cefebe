"""Each route × each caller × each method: who gets in, who reads, who changes what is another's.

All of it is made from the route table: a request is the document's own example, with the ids of
things that the victim really has. A new route is tried without a word being written here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

import psycopg2

from gtsd.clock import Clock
from gtsd.web.openapi import document
from gtsd.web.routes import Policy, Route, RouteTable
from gtsd.web.tokens import LIFETIME
from tests.api.conftest import Running
from tests.support.belongings import CANARY, MAKERS, Maker, Reference, settle
from tests.support.client import PASSWORD, Client, Response

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE")
# By whom a route is asked, and what must come of it where it is for signed-in users.
REFUSED = {"nobody": 401, "expired": 401, "deactivated": 403}
# What the owner's own request may come to; anything else says that the request proves nothing.
ACCEPTED = {*range(200, 300), 409}
_JSON = "application/json"
_TABLES = """
    SELECT table_name FROM information_schema.columns
    WHERE table_schema = current_schema() AND column_name = 'user_id' ORDER BY 1
"""


class Request(NamedTuple):
    """One way to call a route; ``names`` says whether it is about a thing of the victim's.

    A filter of a list is not: nothing is found by it, which is an answer.
    """

    path: str
    body: Any = None
    content_type: str = _JSON
    names: bool = False


def named(route: Route, described: Mapping[str, Any]) -> list[str]:
    """What a route's path, body and query refer to, by the names that ``MAKERS`` has."""
    head, found = "", []
    for segment in route.template.split("/")[1:]:
        head += f"/{segment}"
        if segment.startswith("{"):
            found.append(head)
    return [*found, *_fields(route.body, described), *_fields(route.query, described)]


def _fields(shape: type | None, described: Mapping[str, Any]) -> Iterator[str]:
    """Fields that hold an id, or are called as if they did."""
    if shape is None:
        return
    schemas = described["components"]["schemas"]
    id_text = "Identifies one of your own things."
    for name, field in schemas[shape.__name__]["properties"].items():
        if id_text in json.dumps(field) or name.endswith(("Id", "Key")):
            yield name


def without_maker(
    routes: Iterable[Route], described: Mapping[str, Any], makers: Mapping[str, Maker] = MAKERS
) -> list[str]:
    """What routes refer to, and nobody here can make."""
    return [
        f"{route.method} {route.template}: {name}"
        for route in routes
        for name in named(route, described)
        if name not in makers
    ]


async def request_of(route: Route, described: Mapping[str, Any], owner: Client) -> Request:
    """The document's example of a request, about things that the owner has."""
    things: dict[str, Reference] = {}
    for name in named(route, described):
        things[name] = await MAKERS[name](owner)
    path, head = "", ""
    for segment in route.template.split("/")[1:]:
        head += f"/{segment}"
        path += f"/{things[head] if segment.startswith('{') else segment}"
    body: Any = None
    content_type = _JSON
    if route.body is not None:
        shown = described["paths"][route.template][route.method.lower()]["requestBody"]
        [(content_type, content)] = shown["content"].items()
        fields = {name: things[name] for name in _fields(route.body, described)}
        body = {**content["example"], **fields}
    query = [f"{name}={things[name]}" for name in _fields(route.query, described)]
    path = f"{path}?{'&'.join(query)}"
    return Request(path, body, content_type, len(things) > len(query))


class Matrix:
    """The routes of one running instance, and what is found wrong with them."""

    def __init__(self, service: Running, routes: Iterable[Route]) -> None:
        self._service = service
        self._routes = [route for route in routes if route.tag != "documents"]
        self._described = document(RouteTable(self._routes), "0.0.0")
        self.calls = 0

    async def protected(self) -> list[str]:
        """What is wrong with routes for users."""
        found = []
        for route in self._routes:
            if route.policy is Policy.USER:
                methods = ("GET", "HEAD") if route.method == "GET" else (route.method,)
                found += [line for m in methods async for line in self._try(route, m)]
        return found

    async def open(self) -> list[str]:
        """What routes without a token give away; all callers and their credentials are tried."""
        found = []
        victim, other = await self._victim(), await self._service.person()
        own = {"email": victim.user["email"], "password": PASSWORD}
        own["refreshToken"] = victim.refresh_token
        routes = [route for route in self._routes if route.policy is not Policy.USER]
        requests = [await request_of(route, self._described, victim) for route in routes]
        await self._activate(victim, active=False)
        for route, request in zip(routes, requests, strict=True):
            body = {name: own.get(name, value) for name, value in (request.body or {}).items()}
            asked = request if request.body is None else request._replace(body=body)
            for token in (None, self._expired(victim), victim.token, other.token):
                answer = await self._call(route.method, asked, token)
                given_away = b"accessToken" in answer.body or CANARY.encode() in answer.body
                if answer.status >= 500 or given_away:
                    found.append(f"{route.method} {route.template}: gave {answer.body[:200]!r}")
        return found

    async def other_methods(self) -> list[str]:
        """Methods that the table does not have, on each of its paths."""
        victim, other = await self._victim(), await self._service.person()
        tokens = (None, self._expired(victim), other.token)
        found = []
        for template in {route.template: None for route in self._routes}:
            mine = [route for route in self._routes if route.template == template]
            taken = {route.method for route in mine}
            free = {"HEAD"} if "GET" in taken else set()
            path = "/".join("1" if part.startswith("{") else part for part in template.split("/"))
            for method in (m for m in METHODS if m not in taken | free):
                for token in tokens:
                    answer = await self._call(method, Request(path, {}), token)
                    if answer.status != 405:
                        found.append(f"{method} {template}: {answer.status}")
            asked = Request(path)
            answer = await self._call("OPTIONS", asked, victim.token)
            if (answer.status, answer.body) != (204, b""):
                found.append(f"OPTIONS {template}: {answer.status}")
        return found

    async def _try(self, route: Route, method: str) -> AsyncIterator[str]:
        """One route, asked by everybody for what is the victim's, and by the victim at last."""
        victim, other = await self._victim(), await self._service.person()
        asked = await request_of(route, self._described, victim)
        tokens = {"nobody": None, "expired": self._expired(victim), "deactivated": victim.token}
        title = f"{method} {route.template}"
        for caller, token in {"another": other.token, **tokens}.items():
            await self._activate(victim, active=caller != "deactivated")
            before = await self._rows(victim)
            answer = await self._call(method, asked, token)
            wanted = REFUSED.get(caller, 404 if asked.names else None)
            if wanted not in (None, answer.status) or answer.status >= 500:
                yield f"{title}: {caller} got {answer.status}"
            if CANARY.encode() in answer.body:
                yield f"{title}: {caller} read what is the victim's"
            if await self._rows(victim) != before:
                yield f"{title}: {caller} changed what is the victim's"
        await self._activate(victim, active=True)
        answer = await self._call(method, asked, victim.token)
        if answer.status not in ACCEPTED:
            yield f"{title}: the owner got {answer.status}, so nothing is proved"

    async def _call(self, method: str, asked: Request, token: str | None) -> Response:
        self.calls += 1
        client = Client(self._service.base, token, validates=False)
        if asked.body is None or asked.content_type == _JSON:
            return await client.call(method, asked.path, asked.body)
        raw, headers = urlencode(asked.body).encode(), {"Content-Type": asked.content_type}
        return await client.call(method, asked.path, raw=raw, headers=headers)

    async def _victim(self) -> Client:
        person = await self._service.person(name=f"{CANARY} person")
        await settle(person)
        return person

    def _expired(self, person: Client) -> str:
        clock: Clock = self._service.deps.clock
        issued = clock.now() - LIFETIME
        tokens = self._service.deps.tokens
        return tokens.issue(person.user["id"], jti="expired", at=issued.timestamp())

    async def _activate(self, person: Client, *, active: bool) -> None:
        await self._sql("UPDATE users SET is_active = %s WHERE id = %s", active, person.user["id"])
        await self._service.deps.cache.forget(person.user["id"])

    async def _rows(self, person: Client) -> str:
        """All that the database has of a person."""
        tables = [name for (name,) in await self._sql(_TABLES)]
        parts = ["SELECT 'users', to_jsonb(t)::text FROM users t WHERE id = %s"] + [
            f"SELECT '{name}', to_jsonb(t)::text FROM {name} t WHERE user_id = %s"
            for name in tables
        ]
        statement = " UNION ALL ".join(parts) + " ORDER BY 1, 2"
        return str(await self._sql(statement, *[person.user["id"]] * len(parts)))

    async def _sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        url = self._service.deps.settings.database_url
        return await asyncio.to_thread(_executed, url, statement, values)


def _executed(url: str, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()
