"""Words a mail: plain text and HTML from templates, and headers that nobody can add to."""

from __future__ import annotations

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple
from urllib.parse import quote

from tornado.template import DictLoader

from gtsd.mails.errors import RecipientRefused
from gtsd.mails.types import Letter, MailKind

_SUBJECTS: Final[dict[MailKind, str]] = {
    "verify_email": "Please confirm your email address",
    "reset_password": "Set a new password",
    "new_sign_in": "A new sign-in to your account",
}
# Pages of the app; the token stands behind #, which browsers send to no server.
_PAGES: Final[dict[MailKind, str]] = {
    "verify_email": "verify-email",
    "reset_password": "reset-password",
    "new_sign_in": "forgot-password",
}
_LONGEST_NAME: Final = 60


class Sender(NamedTuple):
    """Who mails come from, as GTSD_MAIL_FROM says it, and where links lead, if anywhere."""

    mailbox: str
    public_url: str | None


def compose(letter: Letter, sender: Sender, now: datetime) -> EmailMessage:
    """The finished mail; raises RecipientRefused for an address that no mail can be written to."""
    name = _one_line(letter.name)
    values = {**letter.values, "name": name, "link": _link(letter, sender.public_url)}
    message = EmailMessage(policy=SMTP)
    own = _sender(sender.mailbox)
    message["From"] = own
    message["To"] = _recipient(name, letter.to)
    message["Subject"] = _SUBJECTS[letter.kind]
    message["Date"] = now
    message["Message-ID"] = f"<{letter.id}@{own.domain}>"
    # RFC 3834: nobody's holiday is to answer it.
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    plain, html = _templates()
    message.set_content(plain.load(f"{letter.kind}.txt").generate(**values).decode())
    rendered = html.load(f"{letter.kind}.html").generate(**values).decode()
    message.add_alternative(rendered, subtype="html")
    return message


def _link(letter: Letter, public_url: str | None) -> str:
    if public_url is None:
        return ""
    token = letter.values.get("token")
    page = f"{public_url}/{_PAGES[letter.kind]}"
    return f"{page}#token={quote(token, safe='')}" if token else page


def _sender(mailbox: str) -> Address:
    name, address = parseaddr(mailbox)
    return Address(name, addr_spec=address)


def _recipient(name: str, email: str) -> Address:
    local, _, domain = email.rpartition("@")
    try:
        # Mail servers know domains by their ASCII form only (RFC 5891).
        return Address(name, local, domain.encode("idna").decode())
    except (UnicodeError, ValueError, IndexError):
        raise RecipientRefused("the address is none that mail can be sent to") from None


def _one_line(name: str) -> str:
    """Without anything that could begin another header, or change the direction of the text."""
    shown = "".join(c if c.isprintable() else " " for c in name)
    return " ".join(shown.split())[:_LONGEST_NAME]


@cache
def _templates() -> tuple[DictLoader, DictLoader]:
    """Those of plain text, where nothing is escaped, and those of HTML, where everything is."""
    folder = files("gtsd.mails") / "templates"
    texts = {file.name: file.read_text() for file in folder.iterdir()}
    return DictLoader(texts, autoescape=None), DictLoader(texts)
