"""Seeing, changing and deleting one's account."""

from __future__ import annotations

import pytest

from tests.api.conftest import Running
from tests.support.client import PASSWORD, Client

NEW = "Another-horse-8"


async def test_fields_are_changed_one_by_one(ada: Client) -> None:
    """Those left out stay; a phone can be taken away."""
    changed = await ada.patch(
        "/auth/me", {"name": "Ada L.", "phone": "+4930123456", "smsOptIn": True}
    )
    assert changed.status == 200
    assert (changed.data["name"], changed.data["phone"]) == ("Ada L.", "+4930123456")
    without = await ada.patch("/auth/me", {"phone": None})
    assert (without.data["phone"], without.data["name"], without.data["smsOptIn"]) == (
        None,
        "Ada L.",
        True,
    )


async def test_a_new_email_is_not_verified(service: Running) -> None:
    """But the same one in another case still is."""
    eve = await service.person(email="eve@example.com")
    token = service.mails[-1][2]
    assert (await service.client.post("/auth/verify-email", {"token": token})).status == 200
    assert (await eve.get("/auth/me")).data["emailVerified"] is True
    assert (await eve.patch("/auth/me", {"email": "EVE@example.com"})).data["emailVerified"] is True
    moved = await eve.patch("/auth/me", {"email": "eve2@example.com"})
    assert (moved.data["emailVerified"], moved.data["emailVerifiedAt"]) == (False, None)


async def test_a_taken_email_is_refused(service: Running, ada: Client) -> None:
    """409, and nothing changed."""
    await service.person(email="first@example.com")
    answer = await ada.patch("/auth/me", {"email": "First@example.com", "name": "New"})
    assert (answer.status, answer.error["code"]) == (409, "email_taken")
    assert (await ada.get("/auth/me")).data["name"] == "Ada"


async def test_changing_the_password_signs_out_everywhere_else(service: Running) -> None:
    """This session goes on, the others end, and the new password is the only one."""
    here = await service.person(email="pass@example.com")
    there = await service.client.post(
        "/auth/login", {"email": "pass@example.com", "password": PASSWORD}
    )
    answer = await here.patch(
        "/auth/change-password", {"currentPassword": PASSWORD, "newPassword": NEW}
    )
    assert answer.status == 200
    refresh = "/auth/refresh"
    assert (
        await service.client.post(refresh, {"refreshToken": there.data["refreshToken"]})
    ).status == 401
    assert (await service.client.post(refresh, {"refreshToken": here.refresh_token})).status == 200
    for password, status in ((PASSWORD, 401), (NEW, 200)):
        login = {"email": "pass@example.com", "password": password}
        assert (await service.client.post("/auth/login", login)).status == status


@pytest.mark.parametrize(
    ("current", "new", "status"),
    [("Wrong-horse-7", NEW, 401), (PASSWORD, PASSWORD, 400), (PASSWORD, "weak", 400)],
)
async def test_a_wrong_same_or_weak_password_is_refused(
    ada: Client, current: str, new: str, status: int
) -> None:
    """Each with its own status."""
    body = {"currentPassword": current, "newPassword": new}
    assert (await ada.patch("/auth/change-password", body)).status == status


async def test_a_forgotten_password_is_reset_once(service: Running) -> None:
    """Every session ends; the token is good for one use."""
    lost = await service.person(email="lost@example.com")
    assert (
        await service.client.post("/auth/forgot-password", {"email": "LOST@example.com"})
    ).status == 200
    kind, email, token = service.mails[-1]
    assert (kind, email) == ("reset_password", "lost@example.com")
    body = {"token": token, "newPassword": NEW}
    assert (await service.client.post("/auth/reset-password", body)).status == 200
    again = await service.client.post("/auth/reset-password", body)
    assert (again.status, again.error["code"]) == (400, "invalid_token")
    login = {"email": "lost@example.com", "password": NEW}
    assert (await service.client.post("/auth/login", login)).status == 200
    body = {"refreshToken": lost.refresh_token}
    assert (await service.client.post("/auth/refresh", body)).status == 401


async def test_nobody_learns_whether_an_email_is_known(service: Running) -> None:
    """The same answer, and no mail."""
    await service.person(email="real@example.com")
    sent = len(service.mails)
    known = await service.client.post("/auth/forgot-password", {"email": "real@example.com"})
    unknown = await service.client.post("/auth/forgot-password", {"email": "unreal@example.com"})
    assert known.body == unknown.body
    assert len(service.mails) == sent + 1


async def test_a_token_serves_its_own_purpose_only(service: Running) -> None:
    """One for an email resets no password."""
    await service.person()
    token = service.mails[-1][2]
    body = {"token": token, "newPassword": NEW}
    assert (await service.client.post("/auth/reset-password", body)).status == 400


async def test_the_verification_can_be_sent_again_until_it_was_used(
    service: Running, ada: Client
) -> None:
    """After that there is nothing to send."""
    assert (await ada.post("/auth/verify-email/resend")).status == 200
    assert (
        await service.client.post("/auth/verify-email", {"token": service.mails[-1][2]})
    ).status == 200
    sent = len(service.mails)
    assert (await ada.post("/auth/verify-email/resend")).status == 200
    assert len(service.mails) == sent
    junk = await service.client.post("/auth/verify-email", {"token": "1.AAAA"})
    assert (junk.status, junk.error["code"]) == (400, "invalid_token")


async def test_sessions_are_shown_and_ended_one_by_one(service: Running) -> None:
    """The one that asks is marked; another user's cannot be ended."""
    here = await service.person(email="places@example.com")
    login = {"email": "places@example.com", "password": PASSWORD}
    there = await service.client.post(
        "/auth/login", login, headers={"User-Agent": "Phone/1", "X-Forwarded-For": "203.0.113.9"}
    )
    sessions = (await here.get("/auth/sessions")).data["sessions"]
    assert [s["current"] for s in sessions].count(True) == 1
    phone = next(s for s in sessions if s["userAgent"] == "Phone/1")
    assert (phone["address"], phone["current"]) == ("203.0.113.9", False)
    other = await service.person()
    assert (await other.delete(f"/auth/sessions/{phone['id']}")).status == 404
    assert (await here.delete(f"/auth/sessions/{phone['id']}")).status == 200
    assert (await here.delete(f"/auth/sessions/{phone['id']}")).status == 404
    body = {"refreshToken": there.data["refreshToken"]}
    assert (await service.client.post("/auth/refresh", body)).status == 401
    assert len((await here.get("/auth/sessions")).data["sessions"]) == 1


async def test_a_deleted_account_is_gone_at_once(service: Running) -> None:
    """Its token, its login and its tasks; only with the password."""
    leaver = await service.person(email="leaver@example.com")
    await leaver.post("/v1/tasks", {"title": "Pack"}, headers={"Idempotency-Key": "k1"})
    assert (await leaver.get("/v1/tasks/today")).status == 200
    wrong = await leaver.delete("/auth/me", {"password": "Wrong-horse-7"})
    assert wrong.status == 401
    assert (await leaver.delete("/auth/me", {"password": PASSWORD})).status == 202
    for path in ("/auth/me", "/v1/tasks/today", "/v1/streaks/me"):
        assert (await leaver.get(path)).status == 401
    login = {"email": "leaver@example.com", "password": PASSWORD}
    assert (await service.client.post("/auth/login", login)).status == 401
    again = await service.person(email="leaver@example.com")
    assert (await again.get("/v1/tasks/today")).data["totalTasks"] == 0
