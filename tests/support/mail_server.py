"""A mail server on the loopback that keeps what it is sent, and refuses what it is told to."""

from __future__ import annotations

import re
import ssl
import time
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from gtsd.dev.host import free_port

USER, PASSWORD = "gtsd", "n7Qw3Rk9Zt"
_TOKEN = re.compile(r"^[0-9]+\.[A-Za-z0-9_-]{43}$", re.MULTILINE)
_KINDS = {
    "confirm your email": "verify_email",
    "new password": "reset_password",
    "new sign-in": "new_sign_in",
}


@dataclass(frozen=True)
class Mail:
    """One that has arrived, with the addresses that the server was told."""

    message: EmailMessage
    sender: str
    to: str

    @property
    def kind(self) -> str:
        """By its subject."""
        return next(kind for words, kind in _KINDS.items() if words in self.message["Subject"])

    def part(self, subtype: str) -> str:
        """The text of one of its two forms, plain or html."""
        part = self.message.get_body((subtype,))
        assert part is not None
        return str(part.get_content()).replace("\r\n", "\n")

    @property
    def token(self) -> str:
        """As somebody would copy it; "" where there is none."""
        found = _TOKEN.search(self.part("plain"))
        return found[0] if found else ""


class MailServer:
    """Started by ``with``. ``replies`` maps a command to the line that refuses it."""

    def __init__(self, tls: ssl.SSLContext | None = None, **options: Any) -> None:
        self.received: list[Mail] = []
        self.replies: dict[str, str] = {}
        self.port = free_port()
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            tls_context=tls,
            authenticator=_authenticate,
            auth_require_tls=False,
            enable_SMTPUTF8=True,
            **options,
        )

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Before 3.12 a server that stops does not wait for its connections: their sockets would be
        # found open later, in the middle of another test.
        bound = time.monotonic() + 2
        while self._is_connected() and time.monotonic() < bound:
            time.sleep(0.01)
        self._controller.stop()

    def _is_connected(self) -> bool:
        last = self._controller.smtpd
        return last is not None and last.transport is not None

    @property
    def url(self) -> str:
        """With the right login."""
        return f"smtp://{USER}:{PASSWORD}@127.0.0.1:{self.port}"

    def reset(self) -> None:
        """As it was in the beginning."""
        self.received.clear()
        self.replies.clear()

    async def handle_RCPT(  # noqa: N802 - the name is aiosmtpd's
        self, _server: object, _session: Session, envelope: Envelope, address: str, _: list[str]
    ) -> str:
        """Called by aiosmtpd."""
        if refusal := self.replies.get("RCPT"):
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - the name is aiosmtpd's
        self, _server: object, _session: Session, envelope: Envelope
    ) -> str:
        """Called by aiosmtpd."""
        if refusal := self.replies.get("DATA"):
            return refusal
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.received.append(Mail(message, envelope.mail_from or "", envelope.rcpt_tos[0]))
        return "250 OK"


def _authenticate(
    _server: object, _session: Session, _envelope: Envelope, _: str, data: Any
) -> AuthResult:
    right = isinstance(data, LoginPassword) and data == LoginPassword(
        USER.encode(), PASSWORD.encode()
    )
    return AuthResult(success=right, handled=False)
