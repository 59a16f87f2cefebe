"""Each route asks the database a bounded number of times, however much its owner has.

Made from the route table like the matrix of callers: a new route is measured without a word here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from urllib.parse import urlencode

import pytest

from gtsd import app
from gtsd.stores.postgres import Query
from gtsd.web.answers import Answer, success
from gtsd.web.call import Call
from gtsd.web.openapi import document
from gtsd.web.routes import Policy, Route, RouteTable
from tests.api.access.matrix import ACCEPTED, request_of
from tests.api.conftest import Running, Start
from tests.support.belongings import CANARY, MAKERS, settle
from tests.support.client import Client

# Of things of each kind, beside those that a request is about.
MANY = 3
# Messages to the database that a request may take, BEGIN and COMMIT among them.
BOUND = 10
# Those that take more, how many, and why that is right.
MORE: dict[str, tuple[int, str]] = {}


class Counter:
    """Asks routes as their owner, and counts what reaches the database meanwhile."""

    def __init__(self, service: Running, routes: Iterable[Route]) -> None:
        self._service = service
        self._routes = [route for route in routes if route.policy is Policy.USER]
        self._described = document(RouteTable(self._routes), "0.0.0")
        # What a worker does afterwards is not the route's.
        service.jobs.runs = False

    async def faults(self) -> list[str]:
        """Routes that ask too often, or more often for somebody who has more."""
        found = []
        for route in self._routes:
            title = f"{route.method} {route.template}"
            few, many = await self._count(route, 0), await self._count(route, MANY)
            bound = MORE.get(title, (BOUND, ""))[0]
            if many != few:
                found.append(f"{title}: {few} queries with little, {many} with much")
            if few > bound:
                found.append(f"{title}: {few} queries, {bound} at most")
        return found

    async def _count(self, route: Route, more: int) -> int:
        owner = await self._service.person()
        await settle(owner)
        for _ in range(more):
            for maker in dict.fromkeys(MAKERS.values()):
                await maker(owner)
        asked = await request_of(route, self._described, owner)
        if route.template.startswith("/v1/tasks/{id}"):
            await self._prove(owner, int(asked.path.split("/")[3].partition("?")[0]), more)
        # Whether the cache knows the account is chance; that it does not is the worse case.
        await self._service.deps.cache.forget(owner.user["id"])
        before = self._asked()
        client = Client(self._service.base, owner.token, validates=False)
        if asked.body is None or asked.content_type == "application/json":
            answer = await client.call(route.method, asked.path, asked.body)
        else:
            raw, headers = urlencode(asked.body).encode(), {"Content-Type": asked.content_type}
            answer = await client.call(route.method, asked.path, raw=raw, headers=headers)
        assert answer.status in ACCEPTED, (route.template, answer.body)
        # What goes on after the answer, such as a cache that is filled, is the request's, too.
        await asyncio.sleep(0.02)
        return self._asked() - before

    async def _prove(self, owner: Client, task_id: int, more: int) -> None:
        proof = {"taskId": task_id, "type": "text_log", "data": {"text": CANARY}}
        for _ in range(more):
            assert (await owner.post("/v1/evidence", proof)).status == 201
        assert (await owner.post(f"/v1/tasks/{task_id}/uncomplete")).status in (200, 409)

    def _asked(self) -> int:
        families = self._service.deps.metrics.registry.collect()
        samples = (sample for family in families for sample in family.samples)
        return int(
            sum(s.value for s in samples if s.name == "gtsd_db_query_duration_seconds_count")
        )


_TAGS = sorted({route.tag for route in app.table().routes if route.policy is Policy.USER})


@pytest.mark.timeout(240)
@pytest.mark.parametrize("tag", _TAGS)
async def test_no_route_asks_more_often_for_somebody_who_has_more(start: Start, tag: str) -> None:
    """The same number of queries with one of each thing and with many; and few of them."""
    routes = [route for route in app.table().routes if route.tag == tag]
    assert await Counter(await start(), routes).faults() == []


def test_every_exception_is_for_a_route_that_is_there() -> None:
    """And says why."""
    titles = {f"{route.method} {route.template}" for route in app.table().routes}
    assert set(MORE) <= titles
    assert all(why for _, why in MORE.values())


_MINE = Query("mine", "SELECT id FROM tasks WHERE user_id = %(user_id)s")
_PROOFS = Query("proofs", "SELECT count(*) FROM evidence WHERE task_id = %(id)s")
_ONE = Query("one", "SELECT 1")


async def _one_by_one(call: Call) -> Answer:
    assert call.account is not None
    rows = await call.deps.postgres.rows(_MINE, user_id=call.account.id)
    counts = [await call.deps.postgres.value(_PROOFS, id=row[0]) for row in rows]
    return success(b"%d" % sum(counts))


async def _again_and_again(call: Call) -> Answer:
    for _ in range(BOUND + 1):
        await call.deps.postgres.value(_ONE)
    return success(b"1")


@pytest.mark.parametrize(
    ("handler", "word"), [(_one_by_one, "with much"), (_again_and_again, "at most")]
)
async def test_a_route_that_asks_too_often_is_found(
    start: Start, monkeypatch: pytest.MonkeyPatch, handler: object, word: str
) -> None:
    """The classic: a list, and a query for each row of it. And one that is only slow."""
    bad = Route("GET", "/v1/tasks-x", handler, Policy.USER, "X", "tasks")  # type: ignore[arg-type]  # of two kinds
    monkeypatch.setattr(app, "_ROUTES", (*app._ROUTES, bad))
    found = await Counter(await start(), [bad]).faults()
    assert any(word in line for line in found)
