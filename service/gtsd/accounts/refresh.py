"""Refresh tokens: opaque to clients, only their hashes are stored."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

from gtsd.errors import ApiError

_BYTES: Final = 64
SALT_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """``<user id>.<base64url>``: the id leads to the user's own rows, the rest is the secret."""

    user_id: int
    secret: bytes

    @classmethod
    def new(cls, user_id: int) -> RefreshToken:
        """A token that nobody can guess."""
        return cls(user_id, secrets.token_bytes(_BYTES))

    @classmethod
    def parse(cls, text: str, refusal: ApiError, length: int = _BYTES) -> RefreshToken:
        """Read what a client sent; raises the given refusal when it is not such a token."""
        head, _, tail = text.partition(".")
        if not (head.isascii() and head.isdigit() and len(head) <= 18):
            raise refusal
        try:
            secret = base64.b64decode(tail + "=" * (-len(tail) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raise refusal from None
        if len(secret) != length:
            raise refusal
        return cls(int(head), secret)

    @property
    def text(self) -> str:
        """What the client keeps."""
        tail = base64.urlsafe_b64encode(self.secret).decode().rstrip("=")
        return f"{self.user_id}.{tail}"

    @property
    def hash(self) -> bytes:
        """What is stored: SHA-256. The secret is random, so no salt or slow hash is needed."""
        return hashlib.sha256(self.secret).digest()

    def successor(self, salt: bytes) -> RefreshToken:
        """The next token of the family, made from this one and a salt that only we know.

        A retry that never saw the answer thus gets the same successor, though no token is stored:
        the table lacks this token, the client lacks the salt.
        """
        return RefreshToken(self.user_id, hmac.digest(salt, self.secret, "sha512"))


def token_id(hashed: bytes) -> str:
    """Names the refresh token that an access token was issued with (its claim ``jti``)."""
    return base64.urlsafe_b64encode(hashed).decode().rstrip("=")


def hash_of(jti: str) -> bytes:
    """The reverse of ``token_id``; empty for a foreign one, which then names no session."""
    try:
        return base64.b64decode(jti + "=" * (-len(jti) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""
