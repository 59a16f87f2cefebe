"""The whole service in the test's own process, on real PostgreSQL, Redis and HTTP."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
import pytest
from tornado.netutil import bind_sockets

from gtsd.app import make_app
from gtsd.clock import FixedClock
from gtsd.deps import Deps, Jobs
from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.dev.redis import EmbeddedRedis
from gtsd.jobs.catalogue import CATALOGUE
from gtsd.jobs.types import Queue
from gtsd.lifecycle import open_all
from gtsd.settings import Settings
from gtsd.stores.postgres import Transaction
from gtsd.web.server import Api
from tests.support.client import PASSWORD, Client
from tests.support.mail_server import MailServer

_numbers = itertools.count(1)
# Far over what a test sends, but for the tests of the limits themselves.
_NO_LIMITS: dict[str, Any] = {
    "limit_anonymous": 100_000,
    "limit_user": 100_000,
    "limit_auth_write": 100_000,
    "limit_heavy": 100_000,
    "login_failures_address": 100_000,
}


@dataclass
class Running:
    """One instance of the service and the ways to reach into it."""

    deps: Deps
    api: Api
    base: str
    mail_server: MailServer
    jobs: PromptJobs

    @property
    def mails(self) -> list[tuple[str, str, str]]:
        """Kind, address and token of each mail that has arrived in this test."""
        return [(mail.kind, mail.to, mail.token) for mail in self.mail_server.received]

    @property
    def client(self) -> Client:
        """Somebody who is not signed in."""
        return Client(self.base)

    async def person(self, **fields: Any) -> Client:
        """Somebody new, signed in."""
        email = fields.pop("email", f"person{next(_numbers)}@example.com")
        body = {"email": email, "password": PASSWORD, "name": "Ada", **fields}
        answer = await self.client.post("/auth/signup", body)
        assert answer.status == 201, answer.body
        return self.client.signed_in(answer.data)


class PromptJobs:
    """Sends mails right after the commit, as a worker would a moment later; the rest is queued."""

    def __init__(self, queue: Jobs) -> None:
        self.queue = queue
        self.deps: Deps | None = None
        self.deferred: list[tuple[str, Mapping[str, object]]] = []
        # False leaves it where it is, as without a worker.
        self.runs = True

    async def defer(
        self,
        transaction: Transaction,
        name: str,
        arguments: Mapping[str, object],
        *,
        at: datetime | None = None,
        key: str | None = None,
    ) -> None:
        """As ``deps.Jobs`` has it."""
        if name not in _MAILS:
            await self.queue.defer(transaction, name, arguments, at=at, key=key)
            return
        self.deferred.append((name, arguments))
        if self.runs:
            transaction.after_commit(partial(self.run, name, arguments))

    async def run(self, name: str, arguments: Mapping[str, object]) -> None:
        """Do one job now."""
        await _MAILS[name](self.deps, **arguments)


_MAILS = {job.name: job.run for job in CATALOGUE if job.queue is Queue.MAIL}


@pytest.fixture(scope="session")
def _mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture
def mail_server(_mail_server: MailServer) -> MailServer:
    """A real mail server on the loopback, without the mails of earlier tests."""
    _mail_server.reset()
    return _mail_server


@pytest.fixture(scope="session")
def shared_database_url(postgres_server: EmbeddedPostgres, _migrated_template: str) -> str:
    """One database for all tests that do not mind other people's rows."""
    return postgres_server.create_database("shared", _migrated_template)


@pytest.fixture
def settings(
    shared_database_url: str, redis_server: EmbeddedRedis, mail_server: MailServer
) -> Settings:
    """Settings as in production, with limits out of the way."""
    return Settings(
        database_url=shared_database_url,
        redis_url=redis_server.url,
        jwt_secret="a-secret-for-tests-0123456789-abcdefghijklmnopqrstuvwxyz-9876543210-ABC",
        port=0,
        log_format="json",
        drain_delay=0.0,
        app_env="test",
        smtp_url=mail_server.url,
        mail_from="GTSD <no-reply@gtsd.example>",
        public_url="https://app.example.org",
        **_NO_LIMITS,
    )


@pytest.fixture
def clock() -> FixedClock:
    """It is Wednesday, 18 November 2026, 12:00 in UTC until a test moves it."""
    return FixedClock(datetime(2026, 11, 18, 12, 0, tzinfo=UTC))


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start(
    settings: Settings, clock: FixedClock, mail_server: MailServer
) -> AsyncIterator[Start]:
    """Start an instance, with other settings if wanted; all of them end with the test."""
    async with AsyncExitStack() as stack:

        async def run(**changes: Any) -> Running:
            chosen = msgspec.structs.replace(settings, **changes)
            deps = await open_all(chosen, stack, clock)
            jobs = PromptJobs(deps.jobs)
            jobs.deps = deps = dataclasses.replace(deps, jobs=jobs)
            api = make_app(deps)
            sockets = bind_sockets(0, "127.0.0.1")
            api.serve(sockets)
            deps.life.ready = True

            async def end() -> None:
                api.stop_accepting()
                await api.finish(5.0, 0.0)

            stack.push_async_callback(end)
            port = sockets[0].getsockname()[1]
            return Running(deps, api, f"http://127.0.0.1:{port}", mail_server, jobs)

        yield run


@pytest.fixture
async def service(start: Start) -> Running:
    """An instance with the usual settings."""
    return await start()


@pytest.fixture
async def ada(service: Running) -> Client:
    """Somebody signed in, in UTC."""
    return await service.person()
