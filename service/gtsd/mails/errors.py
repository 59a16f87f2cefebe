"""Why a mail was not taken; no text of a server, as those quote addresses."""

from __future__ import annotations


class MailNotSent(Exception):
    """``reply`` is the server's code (RFC 5321, 4.2), or 0 where there was none."""

    def __init__(self, what: str, reply: int = 0) -> None:
        self.reply = reply
        super().__init__(f"{what} ({reply})" if reply else what)


class MailDelayed(MailNotSent):
    """Not now: a later try may succeed."""


class MailRefused(MailNotSent):
    """Not ever: the server will say the same again."""


class RecipientRefused(MailRefused):
    """The address takes no mail; nothing is wrong with us."""
