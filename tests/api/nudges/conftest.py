"""People with phones, and a provider of text messages."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gtsd.clock import FixedClock
from gtsd.stores.postgres import Query
from tests.api.conftest import Running, Start
from tests.support.client import Client
from tests.support.twilio_server import ACCOUNT, TOKEN, TwilioServer, twilio_server

WEBHOOK = "https://api.example.org/v1/sms/inbound"
_numbers = itertools.count(4930_1000_000)


@pytest.fixture
async def twilio() -> AsyncIterator[TwilioServer]:
    """A server that takes messages."""
    async with twilio_server() as server:
        yield server


@pytest.fixture
async def messages(start: Start, twilio: TwilioServer, migrated_database_url: str) -> Running:
    """An instance that sends text messages, with nobody in its database yet."""
    return await start(
        database_url=migrated_database_url,
        twilio_account_sid=ACCOUNT,
        twilio_auth_token=TOKEN,
        twilio_api_url=twilio.url,
        sms_from="+15005550006",
        sms_webhook_url=WEBHOOK,
    )


@pytest.fixture
async def webhook(start: Start, twilio: TwilioServer) -> Running:
    """The same on the database of all tests, for what is refused before it is asked."""
    return await start(
        twilio_account_sid=ACCOUNT,
        twilio_auth_token=TOKEN,
        twilio_api_url=twilio.url,
        sms_from="+15005550006",
        sms_webhook_url=WEBHOOK,
    )


Reached = Callable[..., Awaitable[Client]]


@pytest.fixture
def reached(messages: Running) -> Reached:
    """Somebody new who wants messages, with one task on some days."""

    async def make(timezone: str = "UTC", days: tuple[str, ...] = (), **fields: Any) -> Client:
        opt_in = fields.pop("opt_in", True)
        phone = fields.pop("phone", f"+{next(_numbers)}")
        who = await messages.person(timezone=timezone, phone=phone, **fields)
        who.user["phone"] = phone
        assert (await who.patch("/auth/me", {"smsOptIn": opt_in})).status == 200
        for day in days or ("2026-11-18",):
            body = {"title": "Read", "dueDate": day}
            key = {"Idempotency-Key": f"{day}"}
            assert (await who.post("/v1/tasks", body, headers=key)).status == 201
        return who

    return make


async def run(service: Running, sql: str, **params: Any) -> Any:
    """The first value of a statement of a test."""
    return await service.deps.postgres.value(Query("test", sql), **params)


def set_to(clock: FixedClock, local: str, timezone: str = "UTC") -> None:
    """It is so late, there."""
    at = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(timezone)).astimezone(UTC)
    clock.move(at - clock.now())
