"""Mails of an account."""

from __future__ import annotations

from loguru import logger


class NoMails:
    """Stands in until there is a mail transport: says that a mail was not sent, not to whom."""

    async def send(self, kind: str, email: str, token: str) -> None:
        """Neither the address nor the token may be in a log."""
        del email, token
        logger.bind(mail=kind).warning("a mail was not sent: no mail transport is configured")
