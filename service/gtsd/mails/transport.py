"""Where mails go: a mail server or a folder, and why one may not be taken."""

from __future__ import annotations

import asyncio
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from gtsd import settings_urls
from gtsd.mails.smtp import SmtpTransport

if TYPE_CHECKING:
    from gtsd.deps import MailTransport
    from gtsd.settings import Settings


def transport_of(settings: Settings) -> MailTransport | None:
    """As the settings say; None where they name none. Raises OSError for CAs not to be read."""
    if settings.smtp_url is None:
        return None
    address = settings_urls.mail_address(settings.smtp_url)
    if address.scheme == "file":
        return FolderTransport(Path(address.hosts[0]))
    return SmtpTransport(address)


class FolderTransport:
    """Keeps each mail as a file that mail programs open; for a developer, who wants to read it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, message: EmailMessage) -> None:
        """A repeated mail takes the place of the first."""
        path = await asyncio.to_thread(self._write, message)
        logger.info("a mail is in {}", path)

    def _write(self, message: EmailMessage) -> Path:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sent = message["Date"].datetime
        name = message["Message-ID"].strip("<>").partition("@")[0]
        path = self._folder / f"{sent:%Y%m%d-%H%M%S}-{name[:8]}.eml"
        path.write_bytes(message.as_bytes(policy=SMTPUTF8))
        return path
