"""How a mail looks, and that nobody can add to it."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtsd.mails.compose import Sender, compose
from gtsd.mails.errors import RecipientRefused
from gtsd.mails.types import Letter, MailKind

NOW = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
SENDER = Sender("GTSD <no-reply@gtsd.example>", "https://app.example.org")
TOKEN = "12.abc-_"
VALUES = {"token": TOKEN, "when": "now", "program": "Firefox", "address": "192.0.2.1"}
HEADERS = [
    "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress",
    "MIME-Version", "Content-Type",
]  # fmt: skip


def letter(**fields: Any) -> Letter:
    """One about a password, but for what is said."""
    given: dict[str, Any] = {"id": "ab12", "kind": "reset_password", "to": "ada@example.com"}
    return Letter(**{**given, "name": "Ada", "values": VALUES, **fields})


def sent(mail: Letter, sender: Sender = SENDER) -> EmailMessage:
    """As it arrives: written to bytes and read again."""
    read = message_from_bytes(compose(mail, sender, NOW).as_bytes(policy=SMTP), policy=default)
    assert isinstance(read, EmailMessage)
    return read


def body(message: EmailMessage, subtype: str) -> str:
    """One of its two forms."""
    part = message.get_body((subtype,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


@pytest.mark.parametrize("kind", get_args(MailKind))
def test_every_mail_is_plain_text_and_html(kind: MailKind) -> None:
    """The plain form first, as the lesser one; both greet, say what is to be said, and lead on."""
    message = sent(letter(kind=kind))
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    for subtype in ("plain", "html"):
        text = body(message, subtype)
        assert "Hello Ada," in text
        assert "https://app.example.org/" in text
        assert "{{" not in text
    assert message["Subject"]


def test_headers_tell_programs_what_it_is() -> None:
    """No holiday answers it, and the same letter always has the same Message-ID."""
    message = sent(letter())
    assert message.keys() == HEADERS
    assert message["Message-ID"] == "<ab12@gtsd.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["From"] == "GTSD <no-reply@gtsd.example>"
    assert message["To"] == "Ada <ada@example.com>"
    assert message["Date"].datetime == NOW


def test_a_token_is_behind_the_hash_of_a_link_and_can_be_copied() -> None:
    """Browsers send nothing behind a # to any server, so no log has it."""
    for subtype in ("plain", "html"):
        text = body(sent(letter()), subtype)
        assert f"https://app.example.org/reset-password#token={TOKEN}" in text
    assert f"\n{TOKEN}\n" in body(sent(letter()), "plain")


def test_without_a_public_address_there_is_the_token_alone() -> None:
    """A developer has no app for a link to lead to."""
    message = sent(letter(), Sender("no-reply@gtsd.example", None))
    for subtype in ("plain", "html"):
        assert TOKEN in body(message, subtype)
        assert "href" not in body(message, subtype)
        assert "#token" not in body(message, subtype)
        assert "Or enter" not in body(message, subtype)


@pytest.mark.parametrize("name", ["Łukasz Ångström", "艾达", 'O\'Neill, "Bob" <x>', "a" * 255])
def test_names_are_written_as_they_are(name: str) -> None:
    """In any script and with any marks; very long ones are cut."""
    message = sent(letter(name=name))
    (to,) = message["To"].addresses
    assert (to.display_name, to.addr_spec) == (name[:60], "ada@example.com")
    assert f"Hello {name[:60]}," in body(message, "plain")


def test_nothing_is_markup_that_somebody_else_chose() -> None:
    """The control is the plain form, where nothing has to be escaped."""
    message = sent(letter(name="<b onclick='x'>&"))
    assert "<b onclick" not in body(message, "html")
    assert "&lt;b onclick" in body(message, "html")
    assert "<b onclick" in body(message, "plain")


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\x85", "\u2028", "\u2029", "\x0b", "\x0c"])
def test_a_name_adds_no_header(end: str) -> None:
    """Whatever counts as the end of a line somewhere."""
    message = sent(letter(name=f"Eve{end}Bcc: all@example.com{end}{end}Buy"))
    assert message.keys() == HEADERS
    assert message["To"].addresses[0].addr_spec == "ada@example.com"
    assert len(message["To"].addresses) == 1


def test_a_header_could_be_added_otherwise() -> None:
    """The control: joined by hand, the same name makes a header."""
    name = "Eve\r\nBcc: all@example.com"
    read = message_from_bytes(f"To: {name} <ada@example.com>\r\n\r\n".encode(), policy=default)
    assert read.keys() == ["To", "Bcc"]


@given(name=st.text(max_size=80))
def test_any_name_leaves_the_mail_what_it_is(name: str) -> None:
    """The same headers, one recipient, two forms."""
    message = sent(letter(name=name))
    assert message.keys() == HEADERS
    assert [a.addr_spec for a in message["To"].addresses] == ["ada@example.com"]
    assert len(list(message.iter_parts())) == 2


def test_domains_are_written_in_ascii() -> None:
    """As mail servers know them."""
    assert (
        sent(letter(to="ada@bücher.example"))["To"].addresses[0].domain == "xn--bcher-kva.example"
    )


@pytest.mark.parametrize("to", ["ada@" + "a" * 70 + ".example", "ada@\udc80.example"])
def test_an_address_that_cannot_be_is_refused(to: str) -> None:
    """For good: no later try would help."""
    with pytest.raises(RecipientRefused):
        compose(letter(to=to), SENDER, NOW)
