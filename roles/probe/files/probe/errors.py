"""What can go wrong.

ProbeError: it cannot work; what it says is for whoever started it.
Failure: one request went wrong; it is counted.
"""

from __future__ import annotations

from enum import StrEnum


class ProbeError(Exception):
    """The client cannot begin or go on."""


class Reason(StrEnum):
    """Why a request counts as failed."""

    NO_CONNECTION = "no connection"
    TLS = "broken TLS"
    NO_ANSWER = "no answer"
    TIMEOUT = "too late"
    SERVER_ERROR = "server error"
    LIMITED = "limited"
    WRONG_STATUS = "wrong status"
    WRONG_BODY = "wrong body"
    NOT_SENT = "not sent"


class Failure(Exception):
    """One request failed; the text says how, without saying which request it was."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text
