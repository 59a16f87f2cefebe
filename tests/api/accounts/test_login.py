"""Signing in, and what somebody who guesses is told."""

from __future__ import annotations

import asyncio

import psycopg2
import pytest

from gtsd.accounts.passwords import Argon2Passwords
from gtsd.clock import FixedClock
from tests.api.conftest import Running, Start
from tests.support.client import PASSWORD, Client, Response

EMAIL = "guess@example.com"


async def _login(client: Client, email: str, password: str = PASSWORD) -> Response:
    return await client.post("/auth/login", {"email": email, "password": password})


async def test_the_right_password_signs_in(service: Running) -> None:
    """Whatever the case of the email; the time is noted."""
    await service.person(email="in@example.com")
    answer = await _login(service.client, "IN@example.com")
    assert answer.status == 200
    assert answer.data["user"]["lastLoginAt"] is not None
    assert (await service.client.signed_in(answer.data).get("/auth/me")).status == 200


async def test_unknown_and_wrong_are_told_apart_by_nothing(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One text for both, and the same work: a hash is computed for nobody as well (fault 2)."""
    await service.person(email="known@example.com")
    checked: list[bool] = []
    passwords = service.deps.passwords
    assert isinstance(passwords, Argon2Passwords)
    verify = passwords._verify

    def spy(hashed: str, password: str) -> bool:
        checked.append(True)
        return verify(hashed, password)

    monkeypatch.setattr(passwords, "_verify", spy)
    wrong = await _login(service.client, "known@example.com", "Wrong-horse-7")
    unknown = await _login(service.client, "unknown@example.com", "Wrong-horse-7")
    assert wrong.status == unknown.status == 401
    assert wrong.error | {"requestId": ""} == unknown.error | {"requestId": ""}
    assert len(checked) == 2


async def test_a_deactivated_account_is_told_only_after_the_right_password(
    service: Running,
) -> None:
    """Before it, it looks like any other."""
    await service.person(email="gone@example.com")
    with psycopg2.connect(service.deps.settings.database_url) as connection:
        connection.cursor().execute(
            "UPDATE users SET is_active = false WHERE email = 'gone@example.com'"
        )
    connection.close()
    assert (await _login(service.client, "gone@example.com", "Wrong-horse-7")).status == 401
    right = await _login(service.client, "gone@example.com")
    assert (right.status, right.error["code"]) == (403, "account_deactivated")


async def test_ten_failures_throttle_the_account(start: Start, clock: FixedClock) -> None:
    """For right and wrong passwords alike, until the window has passed (fault 2)."""
    service = await start(login_failures_account=10)
    await service.person(email="target@example.com")
    answers = [
        await _login(service.client, "target@example.com", "Wrong-horse-7") for _ in range(11)
    ]
    assert [answer.status for answer in answers] == [401] * 10 + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    right = await _login(service.client, "TARGET@example.com")
    assert (right.status, right.error["code"]) == (429, "too_many_failures")


async def test_parallel_guesses_do_not_slip_through(start: Start) -> None:
    """The failure is counted before the password is checked."""
    service = await start(login_failures_account=5)
    await service.person(email="parallel@example.com")
    guesses = (_login(service.client, "parallel@example.com", "Wrong-horse-7") for _ in range(20))
    statuses = [answer.status for answer in await asyncio.gather(*guesses)]
    assert sorted(statuses) == [401] * 5 + [429] * 15


async def test_right_passwords_are_not_counted(start: Start) -> None:
    """Somebody who signs in often is not locked out."""
    service = await start(login_failures_account=3)
    await service.person(email="often@example.com")
    answers = [await _login(service.client, "often@example.com") for _ in range(6)]
    assert {answer.status for answer in answers} == {200}


async def test_failures_throttle_an_address(start: Start) -> None:
    """Whoever tries one password on many accounts is stopped as well."""
    service = await start(login_failures_address=4)
    headers = {"X-Forwarded-For": "198.51.100.7"}
    body = {"password": "Wrong-horse-7"}
    answers = [
        await service.client.post(
            "/auth/login", {**body, "email": f"spray{n}@example.com"}, headers=headers
        )
        for n in range(5)
    ]
    assert [answer.status for answer in answers] == [401] * 4 + [429]


async def test_no_header_signs_anybody_in(service: Running) -> None:
    """Fault 1: there is no x-user-id, no debug user."""
    ada = await service.person()
    for name in ("X-User-Id", "X-User-ID", "X-Debug-User", "X-Forwarded-User", "Remote-User"):
        answer = await service.client.get("/auth/me", headers={name: str(ada.user["id"])})
        assert answer.status == 401
