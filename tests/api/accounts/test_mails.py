"""Mails of an account, from a request to the mail server: what they say, and what they do not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gtsd.accounts.mailed_tokens import Wish
from gtsd.clock import FixedClock
from gtsd.mails.errors import MailDelayed
from gtsd.mails.operations import deliver
from gtsd.mails.types import Letter
from gtsd.stores.postgres import Query
from tests.api.conftest import Running, Start
from tests.support.client import Response
from tests.support.database import log_lines

NEW = "Another-horse-8"


async def forgot(service: Running, email: str) -> Response:
    """Somebody asks for a new password."""
    answer = await service.client.post("/auth/forgot-password", {"email": email})
    assert answer.status == 200
    return answer


def statements(service: Running) -> dict[str, float]:
    """How often each statement was sent so far."""
    return {
        sample.labels["operation"]: sample.value
        for metric in service.deps.metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "gtsd_db_query_duration_seconds_count"
    }


Trace = tuple[dict[str, float], list[tuple[str, int]]]


async def trace(service: Running, email: str) -> Trace:
    """What a request for a new password leaves: statements sent, jobs added and their sizes."""
    service.jobs.deferred.clear()
    before = statements(service)
    await forgot(service, email)
    after = statements(service)
    added = [(name, len(str(given["sealed"]))) for name, given in service.jobs.deferred]
    return {name: after[name] - before.get(name, 0) for name in after}, added


async def test_a_mailed_link_leads_to_a_new_password(service: Running) -> None:
    """The mail is addressed to the account, and what can be copied from it works."""
    await service.person(email="mail-link@example.com")
    await forgot(service, "mail-LINK@example.com")
    mail = service.mail_server.received[-1]
    assert (mail.kind, mail.to) == ("reset_password", "mail-link@example.com")
    assert f"https://app.example.org/reset-password#token={mail.token}" in mail.part("html")
    body = {"token": mail.token, "newPassword": NEW}
    assert (await service.client.post("/auth/reset-password", body)).status == 200


async def test_a_request_does_the_same_for_a_known_and_an_unknown_address(
    service: Running,
) -> None:
    """The same statements and one job of the same size: so no duration can tell them apart."""
    await service.person(email="mail-known@example.com")
    # Only the request counts: what a worker does later, nobody waits for.
    service.jobs.runs = False
    known = await trace(service, "mail-known@example.com")
    assert known == await trace(service, "mail-other@example.com")
    assert [name for name, _ in known[1]] == ["prepare_reset"]


async def test_a_lookup_in_the_request_would_be_seen(service: Running) -> None:
    """The control: with the worker's part inside the request, the two differ."""
    await service.person(email="mail-known2@example.com")
    known = await trace(service, "mail-known2@example.com")
    assert known != await trace(service, "mail-other2@example.com")


async def test_what_waits_in_the_queue_holds_no_token_and_no_address(service: Running) -> None:
    """The control: opened with the secret, it does."""
    await service.person(email="mail-sealed@example.com")
    await forgot(service, "mail-sealed@example.com")
    names = [name for name, _ in service.jobs.deferred]
    assert names == ["send_mail", "prepare_reset", "send_mail"]
    opened = []
    for _, arguments in service.jobs.deferred:
        text = str(arguments)
        assert "sealed@" not in text
        assert service.mails[-1][2] not in text
        shape: Any = Letter if "kind" in arguments else Wish
        opened.append(service.deps.seal.open(str(arguments["sealed"]), shape))
    assert opened[2].values["token"] == service.mails[-1][2]
    assert opened[2].to == opened[1].email == "mail-sealed@example.com"


async def test_no_log_line_holds_a_token_or_an_address(service: Running) -> None:
    """Neither of a mail that went out nor of one that was refused."""
    with log_lines() as lines:
        await service.person(email="mail-canary@example.com", name="Canary")
        service.mail_server.replies["RCPT"] = "550 5.1.1 <mail-canary@example.com> unknown"
        await forgot(service, "mail-canary@example.com")
        service.mail_server.replies["RCPT"] = "450 4.2.0 <mail-canary@example.com> later"
        await forgot(service, "mail-canary@example.com")
    text = "\n".join(lines)
    assert "refused" in text
    assert "canary" not in text.lower()
    tokens = [token for *_, token in service.mails]
    assert tokens
    assert all(token not in text for token in tokens)


async def test_a_job_that_is_run_twice_mails_once(service: Running) -> None:
    """The token was chosen in the request, so the second run finds it in the table."""
    await service.person(email="mail-twice@example.com")
    await forgot(service, "mail-twice@example.com")
    name, arguments = service.jobs.deferred[-2]
    assert name == "prepare_reset"
    sent = len(service.mails)
    await service.jobs.run(name, arguments)
    assert len(service.mails) == sent


async def test_a_mail_that_is_sent_twice_has_one_message_id(service: Running) -> None:
    """A killed worker cannot know whether a server took it; mail programs show it once."""
    await service.person(email="mail-again@example.com")
    name, arguments = service.jobs.deferred[-1]
    await service.jobs.run(name, arguments)
    first, second = service.mail_server.received
    assert first.message["Message-ID"] == second.message["Message-ID"]
    await service.client.post("/auth/forgot-password", {"email": "mail-again@example.com"})
    assert service.mail_server.received[-1].message["Message-ID"] != first.message["Message-ID"]


async def test_a_temporary_refusal_is_raised_and_one_for_good_is_not(service: Running) -> None:
    """The queue tries again only what may succeed."""
    letter = Letter(
        id="1", kind="verify_email", to="mail-x@example.com", name="", values={"token": "1"}
    )
    service.mail_server.replies["RCPT"] = "450 4.2.0 later"
    with pytest.raises(MailDelayed):
        await deliver(service.deps, letter)
    service.mail_server.replies["RCPT"] = "550 5.1.1 unknown"
    await deliver(service.deps, letter)
    assert service.mails == []
    counted = service.deps.metrics.messages
    assert counted.labels("verify_email", "failed")._value.get() == 1
    assert counted.labels("verify_email", "refused")._value.get() == 1


async def test_a_link_that_has_ended_is_not_mailed(service: Running, clock: FixedClock) -> None:
    """A worker that was away for an hour and a minute drops it."""
    await service.person(email="mail-late@example.com")
    service.jobs.runs = False
    await forgot(service, "mail-late@example.com")
    clock.move(timedelta(minutes=61))
    service.jobs.runs = True
    sent = len(service.mails)
    await service.jobs.run(*service.jobs.deferred[-1])
    assert len(service.mails) == sent


async def test_nobodys_inbox_is_flooded(service: Running, clock: FixedClock) -> None:
    """Five mails of a kind in an hour; whoever is signed in is told, others are not."""
    ada = await service.person(email="mail-flood@example.com")
    for _ in range(4):
        assert (await ada.post("/auth/verify-email/resend")).status == 200
    refused = await ada.post("/auth/verify-email/resend")
    assert (refused.status, refused.error["code"]) == (429, "too_many_mails")
    assert len(service.mails) == 5
    for _ in range(7):
        await forgot(service, "mail-flood@example.com")
    assert [kind for kind, *_ in service.mails].count("reset_password") == 5
    clock.move(timedelta(minutes=61))
    await forgot(service, "mail-flood@example.com")
    assert [kind for kind, *_ in service.mails].count("reset_password") == 6


async def test_a_name_is_mailed_only_to_a_verified_address(service: Running) -> None:
    """Or a stranger could have us send a text of his to anybody."""
    await service.person(email="mail-named@example.com", name="Win a prize at evil.example")
    assert "evil" not in service.mail_server.received[-1].part("plain")
    token = service.mails[-1][2]
    assert (await service.client.post("/auth/verify-email", {"token": token})).status == 200
    await forgot(service, "mail-named@example.com")
    assert "Hello Win a prize" in service.mail_server.received[-1].part("plain")


async def test_without_a_mail_server_everything_else_works(start: Start) -> None:
    """Nothing is put into the queue that could never be sent; the start has said so."""
    with log_lines() as lines:
        service = await start(smtp_url=None)
    assert sum("mails are off" in line for line in lines) == 1
    ada = await service.person(email="mail-off@example.com")
    await forgot(service, "mail-off@example.com")
    assert (await ada.post("/auth/verify-email/resend")).status == 200
    assert service.jobs.deferred == []


async def test_a_mail_server_that_is_away_fails_no_request(start: Start) -> None:
    """The mail waits in the queue."""
    service = await start(smtp_url="smtp://127.0.0.1:9")
    await service.person(email="mail-away@example.com")
    assert [name for name, _ in service.jobs.deferred] == ["send_mail"]


async def test_a_deactivated_account_gets_no_token(service: Running) -> None:
    """A worker finds no active account, and the request has told nothing."""
    ada = await service.person(email="mail-inactive@example.com")
    off = Query("test", "UPDATE users SET is_active = false WHERE id = %(id)s")
    await service.deps.postgres.execute(off, id=ada.user["id"])
    sent = len(service.mails)
    await forgot(service, "mail-inactive@example.com")
    assert len(service.mails) == sent
