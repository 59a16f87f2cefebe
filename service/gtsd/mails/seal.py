"""Closes what must not be read where it waits: addresses and tokens in the queue of jobs."""

from __future__ import annotations

import base64
import hashlib
from typing import TypeVar

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

T = TypeVar("T")


class SealBroken(Exception):
    """The text was closed with a secret that is not in use any more, or is damaged."""


class Seal:
    """Closes with a key made from the signing secret; what the previous one closed still opens.

    Fernet encrypts and authenticates, so that nobody who has the table alone can read a text or
    make one. The signing secret is random, so one hash makes a key of it.
    """

    def __init__(self, secret: str, previous: str | None = None) -> None:
        self._keys = MultiFernet([_key(value) for value in (secret, previous) if value])

    def close(self, value: msgspec.Struct) -> str:
        """Visible ASCII."""
        return self._keys.encrypt(msgspec.json.encode(value)).decode()

    def open(self, sealed: str, shape: type[T]) -> T:
        """What was closed; raises SealBroken."""
        try:
            return msgspec.json.decode(self._keys.decrypt(sealed.encode()), type=shape)
        except (InvalidToken, msgspec.DecodeError):
            # Without its cause: that of a validation quotes what was inside.
            raise SealBroken("what was sealed cannot be opened") from None


def _key(secret: str) -> Fernet:
    digest = hashlib.sha256(b"gtsd-seal\0" + secret.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(digest))
