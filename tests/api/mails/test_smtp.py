"""Mails on their way to a real mail server, with and without TLS, taken and refused."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gtsd.mails import smtp
from gtsd.mails.compose import Sender, compose
from gtsd.mails.errors import MailDelayed, MailNotSent, MailRefused, RecipientRefused
from gtsd.mails.smtp import SmtpTransport
from gtsd.mails.types import Letter
from gtsd.settings_urls import mail_address
from tests.support.mail_server import PASSWORD, USER, MailServer
from tests.support.tls import Ca, make_ca

TO = "ada.canary@example.com"
MESSAGE = compose(
    Letter(id="1", kind="verify_email", to=TO, name="Łukasz", values={"token": "1.x"}),
    Sender("no-reply@gtsd.example", None),
    datetime(2026, 11, 18, tzinfo=UTC),
)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Ca:
    """Whom the clients of these tests trust."""
    return make_ca(tmp_path_factory.mktemp("ca"))


def context(ca: Ca, name: str = "localhost") -> ssl.SSLContext:
    """A server's side, with a certificate for a name."""
    leaf = ca.issue(names=[name])
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(leaf.certificate, leaf.key)
    return made


@pytest.fixture(scope="module")
def tls_server(ca: Ca) -> Iterator[MailServer]:
    """Takes nothing before STARTTLS."""
    with MailServer(context(ca), require_starttls=True) as server:
        yield server


def transport(server: MailServer, ca: Path | None = None, **options: bool) -> SmtpTransport:
    """The way to a server by the name of its certificate."""
    trusted = f"?ssl_ca_certs={ca}" if ca else ""
    url = f"smtp://{USER}:{PASSWORD}@localhost:{server.port}{trusted}"
    return SmtpTransport(mail_address(url), **options)


async def test_a_mail_arrives_as_it_was_written(mail_server: MailServer) -> None:
    """On this machine without TLS, with login."""
    await transport(mail_server).send(MESSAGE)
    (mail,) = mail_server.received
    assert (mail.sender, mail.to) == ("no-reply@gtsd.example", TO)
    assert "Hello Łukasz," in mail.part("plain")
    assert "Hello Łukasz," in mail.part("html")


async def test_starttls_is_used_and_verified(tls_server: MailServer, ca: Ca) -> None:
    """Required, as it is for every server on another machine."""
    tls_server.reset()
    await transport(tls_server, ca.certificate, requires_tls=True).send(MESSAGE)
    assert len(tls_server.received) == 1


async def test_a_server_without_starttls_gets_nothing(mail_server: MailServer) -> None:
    """Somebody on the way may have taken the offer out: neither login nor mail is sent."""
    with pytest.raises(MailDelayed):
        await transport(mail_server, requires_tls=True).send(MESSAGE)
    assert mail_server.received == []


def test_other_machines_are_reached_by_tls_alone() -> None:
    """The control of the test before: what it asks for is what a name elsewhere gets."""
    elsewhere = SmtpTransport(mail_address("smtp://mail.example.org"))
    here = SmtpTransport(mail_address("smtp://127.0.0.1"))
    assert (elsewhere._start_tls, here._start_tls) == (True, None)
    assert SmtpTransport(mail_address("smtps://mail.example.org"))._implicit


async def test_a_certificate_of_others_is_refused(tls_server: MailServer, tmp_path: Path) -> None:
    """One that a CA of the system did not sign, and one of a wrong CA."""
    tls_server.reset()
    for trusted in (None, make_ca(tmp_path / "other").certificate):
        with pytest.raises(MailDelayed, match="certificate|reached"):
            await transport(tls_server, trusted).send(MESSAGE)
    assert tls_server.received == []


async def test_a_certificate_for_another_name_is_refused(ca: Ca) -> None:
    """The right CA is not enough."""
    with MailServer(context(ca, "mail.example.org")) as server:
        with pytest.raises(MailDelayed):
            await transport(server, ca.certificate).send(MESSAGE)
        assert server.received == []


async def test_a_wrong_login_is_tried_again_later(mail_server: MailServer) -> None:
    """The settings are at fault, so the mail waits."""
    url = f"smtp://{USER}:wrong-Canary@127.0.0.1:{mail_server.port}"
    with pytest.raises(MailDelayed, match="login") as caught:
        await SmtpTransport(mail_address(url)).send(MESSAGE)
    assert caught.value.reply == 535
    assert mail_server.received == []


@pytest.mark.parametrize(
    ("command", "reply", "kind"),
    [
        ("RCPT", f"450 4.2.0 <{TO}> greylisted", MailDelayed),
        ("RCPT", f"550 5.1.1 <{TO}> unknown", RecipientRefused),
        ("DATA", "451 4.7.1 later", MailDelayed),
        ("DATA", f"554 5.7.1 spam for {TO}", MailRefused),
    ],
)
async def test_refusals_for_now_and_for_good_differ(
    mail_server: MailServer, command: str, reply: str, kind: type[MailNotSent]
) -> None:
    """By the first digit; the text is not told on, as it quotes addresses."""
    mail_server.replies[command] = reply
    with pytest.raises(MailNotSent) as caught:
        await transport(mail_server).send(MESSAGE)
    assert type(caught.value) is kind
    assert caught.value.reply == int(reply[:3])
    assert TO not in str(caught.value)
    assert caught.value.__suppress_context__
    assert mail_server.received == []


async def test_a_server_that_is_away_is_tried_again_later(mail_server: MailServer) -> None:
    """Nobody listens on that port."""
    url = f"smtp://127.0.0.1:{mail_server.port + 1}"
    with pytest.raises(MailDelayed, match="reached"):
        await SmtpTransport(mail_address(url)).send(MESSAGE)


async def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the time for one step."""
    monkeypatch.setattr(smtp, "_STEP_S", 0.3)
    # The kernel answers for it, and nothing is ever said.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"smtp://127.0.0.1:{silent.getsockname()[1]}"
        async with asyncio.timeout(5):
            with pytest.raises(MailDelayed, match="reached"):
                await SmtpTransport(mail_address(url)).send(MESSAGE)


def test_a_file_of_cas_that_is_missing_is_told_at_the_start() -> None:
    """Not at the first mail."""
    with pytest.raises(OSError, match="No such file"):
        SmtpTransport(mail_address("smtps://mail.example.org?ssl_ca_certs=/gone"))
