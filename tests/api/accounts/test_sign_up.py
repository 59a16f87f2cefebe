"""Opening an account."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.api.conftest import Running
from tests.support.client import PASSWORD

BODY = {"email": "grace@example.com", "password": PASSWORD, "name": "Grace"}


async def test_an_account_is_opened_and_signed_in(service: Running) -> None:
    """The answer holds the account and tokens that work; the password is nowhere."""
    body = {
        **BODY,
        "email": "Grace.1@Example.com",
        "phone": "+4930123456",
        "timezone": "Asia/Kolkata",
    }
    answer = await service.client.post("/auth/signup", body)
    assert answer.status == 201
    user = answer.data["user"]
    assert (user["email"], user["timezone"], user["phone"]) == (
        "Grace.1@Example.com",
        "Asia/Kolkata",
        "+4930123456",
    )
    assert answer.data["expiresIn"] == 900
    assert PASSWORD.encode() not in answer.body
    grace = service.client.signed_in(answer.data)
    assert (await grace.get("/auth/me")).data == user


async def test_an_email_is_taken_whatever_its_case(service: Running) -> None:
    """Emails compare case-insensitively."""
    await service.person(email="linus@example.com")
    answer = await service.client.post("/auth/signup", {**BODY, "email": "LINUS@example.com"})
    assert (answer.status, answer.error["code"]) == (409, "email_taken")


async def test_of_parallel_sign_ups_with_one_email_exactly_one_wins(service: Running) -> None:
    """The others are told that it is taken; none fails (fault 12)."""
    body = {**BODY, "email": "race@example.com"}
    answers = await asyncio.gather(*(service.client.post("/auth/signup", body) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 7


async def test_parallel_sign_ups_of_many_people_all_work(service: Running) -> None:
    """Fault 12: they failed with 500."""
    people = await asyncio.gather(
        *(service.person(email=f"crowd{n}@example.com") for n in range(12))
    )
    assert len({person.user["id"] for person in people}) == 12


async def test_the_first_parallel_requests_of_a_new_user_work(service: Running) -> None:
    """Fault 11: what a user needs exists as soon as the account does."""
    new = await service.person()
    paths = ["/v1/tasks/today", "/v1/streaks/me", "/auth/me", "/v1/streaks/history"] * 3
    answers = await asyncio.gather(*(new.get(path) for path in paths))
    assert {answer.status for answer in answers} == {200}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "a@b"}, "email"),
        ({"email": "two words@example.com"}, "email"),
        ({"email": "x" * 250 + "@example.com"}, "email"),
        ({"password": "Short-1"}, "password"),
        ({"password": "no-upper-case-1"}, "password"),
        ({"password": "NO-LOWER-CASE-1"}, "password"),
        ({"password": "No-digit-here"}, "password"),
        ({"password": "NoSymbol1234"}, "password"),
        ({"password": "Aa1-" + "x" * 125}, "password"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"phone": "030 123456"}, "phone"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"isAdmin": True}, "isAdmin"),
        ({"email": None}, "email"),
    ],
)
async def test_a_bad_field_is_named(service: Running, changes: dict[str, Any], field: str) -> None:
    """Each with what is wrong with it."""
    answer = await service.client.post("/auth/signup", {**BODY, **changes})
    assert (answer.status, answer.error["code"]) == (400, "invalid_fields")
    assert list(answer.error["fields"]) == [field]


async def test_all_bad_fields_are_named_at_once(service: Running) -> None:
    """With an example where a form is asked for."""
    answer = await service.client.post("/auth/signup", {"email": "x", "phone": "1", "extra": 1})
    fields = answer.error["fields"]
    assert set(fields) == {"email", "phone", "extra", "password", "name"}
    assert "ada@example.com" in fields["email"]
    assert fields["name"].startswith("is required")
