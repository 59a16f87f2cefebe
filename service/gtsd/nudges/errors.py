"""Why a text message was not sent; no text of a provider, as those quote numbers."""

from __future__ import annotations


class SmsNotSent(Exception):
    """``code`` is the provider's own, or the status of its answer; 0 where there was none."""

    def __init__(self, what: str, code: int = 0) -> None:
        self.code = code
        super().__init__(f"{what} ({code})" if code else what)


class SmsDelayed(SmsNotSent):
    """Surely not sent, and a later try may succeed."""


class SmsRefused(SmsNotSent):
    """This number gets none: it is wrong, or cannot be reached."""


class SmsOptedOut(SmsRefused):
    """Its owner has told the provider STOP."""


class SmsUnknown(SmsNotSent):
    """Perhaps it was sent: the answer was lost."""
