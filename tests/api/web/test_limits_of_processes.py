"""The limits of the contract, counted together by three real processes."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache, partial
from threading import Lock

import pytest

from gtsd.app import table
from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.dev.redis import EmbeddedRedis
from gtsd.settings import Settings
from gtsd.web.routes import Limited, Policy
from tests.support.process import Served, environment, serving
from tests.support.redis import own_redis, restricted

WINDOW_S = 60
HEAVY = {
    "GET /auth/me/export",
    "POST /v1/plans/generate",
    "POST /v1/streaks/check-compliance",
    "POST /v1/progress/photo/presign",
}
_numbers = itertools.count(1)

Send = Callable[[Served, str], int]


class Fleet:
    """Three processes with the limits of production, and what each of them answers."""

    def __init__(self, processes: list[Served]) -> None:
        self.processes = processes

    def statuses(self, send: Send, each: int) -> list[Counter[int]]:
        """So many requests to each process, three at a time each, all from one new address.

        Again with another address where a minute ended meanwhile, as then a new window began.
        """
        for _ in range(4):
            number = next(_numbers)
            address, window = f"198.19.{number // 250}.{number % 250}", time.time() // WINDOW_S
            with ThreadPoolExecutor(9) as threads:
                sent = [
                    [threads.submit(send, process, address) for _ in range(each)]
                    for process in self.processes
                ]
                found = [Counter(future.result() for future in futures) for futures in sent]
            if time.time() // WINDOW_S == window:
                return found
        raise AssertionError("no minute was long enough")

    def admitted(self, send: Send, each: int) -> int:
        """How many were not refused; everything else is 429."""
        found = sum(self.statuses(send, each), Counter())
        assert set(found) <= {200, 429}, found
        return found[200]


def _fleet(stack: ExitStack, database_url: str, redis_url: str | None) -> Fleet:
    environ = environment(database_url)
    # Those of the contract are the defaults.
    environ = {name: text for name, text in environ.items() if "LIMIT" not in name}
    if redis_url is not None:
        environ |= {"REDIS_URL": redis_url, "GTSD_REDIS_TIMEOUT": "2"}
    return Fleet([stack.enter_context(serving(environ)) for _ in range(3)])


@pytest.fixture(scope="module")
def database_url(postgres_server: EmbeddedPostgres, _migrated_template: str) -> Iterator[str]:
    """One for all tests of this file."""
    yield postgres_server.create_database("limited", _migrated_template)
    postgres_server.drop_database("limited")


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    """A Redis that may be killed."""
    with own_redis() as redis:
        yield redis


@pytest.fixture(scope="module")
def fleet(database_url: str, server: EmbeddedRedis) -> Iterator[Fleet]:
    """Three processes with one Redis, which grants them what production does."""
    with ExitStack() as stack:
        yield _fleet(stack, database_url, restricted(server.url))


def _ask(process: Served, address: str, method: str, path: str, body: bytes | None = None,
         token: str = "") -> int:  # fmt: skip
    connection = process.connect()
    headers = {"X-Forwarded-For": address, "Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        for name in ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"):
            assert int(answer.headers[name]) >= 0
        answer.read()
        return answer.status
    finally:
        connection.close()


def read_document(process: Served, address: str) -> int:
    """Needs no token, and no store."""
    return _ask(process, address, "GET", "/openapi.json")


def sign_out(process: Served, address: str) -> int:
    """A write under /auth, of nobody's session."""
    return _ask(process, address, "POST", "/auth/logout", b'{"refreshToken":"none"}')


def signed_in(process: Served, method: str, path: str, body: bytes | None = None) -> Send:
    """Requests of one person; of another one where a count begins anew, with another address."""

    @cache
    def token(_: str) -> str:
        return process.sign_up(f"limited{next(_numbers)}@example.com")[0]

    def send(one: Served, address: str) -> int:
        with signing_up:
            own = token(address)
        return _ask(one, address, method, path, body, own)

    signing_up = Lock()
    return send


def _has_redis(process: Served) -> bool:
    return bool(process.get("/health").json["redis"] == "connected")


def test_the_limits_are_those_of_the_contract() -> None:
    """A minute: 100 of an address, 200 of a user, 10 writes under /auth, 20 that are expensive."""
    defaults = Settings(database_url="", jwt_secret="")
    amounts = (defaults.limit_anonymous, defaults.limit_user)
    assert (*amounts, defaults.limit_auth_write, defaults.limit_heavy) == (100, 200, 10, 20)


def test_each_route_has_the_limit_of_its_kind() -> None:
    """Every write under /auth, and what is expensive; what only operators ask has none."""
    titles = {f"{route.method} {route.template}": route for route in table().routes}
    writes = {t for t, r in titles.items() if r.template.startswith("/auth") and r.method != "GET"}
    limits = {kind: {t for t, r in titles.items() if r.limit is kind} for kind in Limited}
    assert limits == {Limited.AUTH_WRITE: writes, Limited.HEAVY: HEAVY & titles.keys()}
    assert not [t for t, r in titles.items() if r.policy is Policy.OPS and r.limit]


def test_three_processes_admit_what_one_limit_allows(fleet: Fleet) -> None:
    """To the very request, though nine come at a time; with the ACL of production."""
    first = fleet.processes[0]
    assert fleet.admitted(read_document, 50) == 100
    assert fleet.admitted(sign_out, 8) == 10
    assert fleet.admitted(signed_in(first, "GET", "/auth/me"), 90) == 200
    heavy = signed_in(first, "POST", "/v1/streaks/check-compliance", b"{}")
    assert fleet.admitted(heavy, 12) == 20


def test_three_processes_without_redis_are_found_to_admit_three_times_as_much(
    database_url: str,
) -> None:
    """The control: the same count sees that nothing is shared."""
    with ExitStack() as stack:
        alone = _fleet(stack, database_url, None)
        assert alone.statuses(sign_out, 14) == [Counter({200: 10, 429: 4})] * 3


def test_redis_goes_in_the_middle_and_comes_back(fleet: Fleet, server: EmbeddedRedis) -> None:
    """No request fails; meanwhile each process counts by itself, and then they count together."""
    counted: list[bool] = []

    def sign_out_and_kill(process: Served, address: str) -> int:
        counted.append(True)
        if len(counted) == 6:
            server.kill()
        return sign_out(process, address)

    try:
        middle = sum(fleet.statuses(sign_out_and_kill, 20), Counter())
        assert set(middle) == {200, 429}
        # Each process by itself, and what Redis had counted before.
        assert 30 <= middle[200] <= 30 + 10
        for process in fleet.processes:
            assert not _has_redis(process)
        assert fleet.statuses(sign_out, 14) == [Counter({200: 10, 429: 4})] * 3
    finally:
        server.start()
    # A server without a disk has forgotten its users, too.
    restricted(server.url)
    for process in fleet.processes:
        process.wait_until(partial(_has_redis, process))
    assert fleet.admitted(sign_out, 8) == 10
