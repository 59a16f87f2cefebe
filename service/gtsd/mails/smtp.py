"""Hands mails to a server by SMTP (RFC 5321), over TLS that is verified."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from email.message import EmailMessage
from typing import TYPE_CHECKING, Final

import aiosmtplib
from aiosmtplib import SMTP

from gtsd.mails.errors import MailDelayed, MailNotSent, MailRefused, RecipientRefused
from gtsd.settings_urls import is_local

if TYPE_CHECKING:
    from gtsd.settings_urls import Address

_STEP_S: Final = 15.0
_ALL_S: Final = 60.0


class SmtpTransport:
    """A connection a mail: there are few, and one that was kept might have died meanwhile.

    ``smtps://`` is TLS from the first byte. With ``smtp://`` a server that offers no STARTTLS is
    refused, unless it is on this machine.
    """

    def __init__(self, address: Address, *, requires_tls: bool | None = None) -> None:
        """Raises OSError when the file of the CAs cannot be read."""
        host = address.hosts[0]
        required = not is_local(host) if requires_tls is None else requires_tls
        self._implicit = address.scheme == "smtps"
        # None takes what is offered.
        self._start_tls = False if self._implicit else True if required else None
        self._address = address
        self._context = ssl.create_default_context(cafile=address.parameters.get("ssl_ca_certs"))

    async def send(self, message: EmailMessage) -> None:
        """Raises MailDelayed, RecipientRefused or MailRefused."""
        client = self._client()
        try:
            async with asyncio.timeout(_ALL_S):
                await client.connect()
                await client.send_message(message)
                # It is taken, whatever becomes of the farewell.
                with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                    await client.quit()
        except (aiosmtplib.SMTPException, OSError) as error:
            # Not as its cause, because servers quote addresses in their replies.
            raise _failure(error) from None
        finally:
            client.close()

    def _client(self) -> SMTP:
        address = self._address
        return SMTP(
            hostname=address.hosts[0],
            port=int(address.ports[0]),
            username=address.user or None,
            password=address.password or None,
            use_tls=self._implicit,
            start_tls=self._start_tls,
            tls_context=self._context,
            timeout=_STEP_S,
        )


# What it says is a table, in the order of the conversation.
def _failure(error: Exception) -> MailNotSent:  # noqa: PLR0911 - a return a row
    match error:
        case aiosmtplib.SMTPRecipientsRefused(recipients=[first, *_]):
            return _by_reply("the recipient", first.code, RecipientRefused)
        case aiosmtplib.SMTPAuthenticationError(code=code):
            # The settings are wrong, not the mail: it waits until they are right.
            return MailDelayed("the mail server did not accept the login", code)
        case aiosmtplib.SMTPSenderRefused(code=code):
            return _by_reply("the sender", code, MailRefused)
        case aiosmtplib.SMTPDataError(code=code):
            return _by_reply("the content", code, MailRefused)
        case aiosmtplib.SMTPResponseException(code=code):
            return MailDelayed("the mail server does not serve us", code)
        case aiosmtplib.SMTPNotSupported():
            return RecipientRefused("the mail server cannot write to such an address")
        case ssl.SSLError():
            return MailDelayed("the mail server has no certificate that we trust")
        case _:
            return MailDelayed(f"the mail server cannot be reached: {type(error).__name__}")


def _by_reply(what: str, code: int, permanent: type[MailRefused]) -> MailNotSent:
    kind = permanent if code >= 500 else MailDelayed
    return kind(f"the mail server refused {what}", code)
