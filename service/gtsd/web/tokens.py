"""Access tokens: short-lived signed JSON Web Tokens (RFC 7519), HS256 only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import jwt

from gtsd.clock import Clock
from gtsd.errors import Unauthenticated

ISSUER: Final = "gtsd-api"
AUDIENCE: Final = "gtsd-client"
LIFETIME: Final = timedelta(minutes=15)
_ALGORITHM: Final = "HS256"
_REQUIRED: Final = ["sub", "iss", "aud", "iat", "exp", "jti"]
_MAX_LENGTH: Final = 2048
# About 6 MB.
_REMEMBERED: Final = 20_000


@dataclass(frozen=True, slots=True)
class Verified:
    """What an accepted token says: whose it is and the time in epoch seconds when it ends."""

    user_id: int
    token_id: str
    expires: float


class AccessTokens:
    """Issues with the first secret; accepts tokens of all secrets, told apart by ``kid``."""

    def __init__(self, clock: Clock, secret: str, previous: str | None = None) -> None:
        self._clock = clock
        self._secrets = {_kid(value): value for value in (previous, secret) if value}
        self._kid = _kid(secret)
        # By a hash, so that the tokens themselves are not kept.
        self._known: dict[bytes, Verified] = {}
        # The library's own clock cannot be set, so the times are checked here, on ours.
        self._options: Any = {
            "require": _REQUIRED,
            "verify_exp": False,
            "verify_iat": False,
            "verify_nbf": False,
            "enforce_minimum_key_length": False,
        }

    def issue(self, user_id: int, *, jti: str, at: float) -> str:
        """A token that lives from ``at`` (epoch seconds); the same arguments give the same one."""
        issued = int(at)
        claims = {
            "sub": str(user_id),
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": issued,
            "exp": issued + int(LIFETIME.total_seconds()),
            "jti": jti,
        }
        secret = self._secrets[self._kid]
        return jwt.encode(claims, secret, algorithm=_ALGORITHM, headers={"kid": self._kid})

    def verify(self, token: str) -> Verified:
        """Whose token it is; raises Unauthenticated, which never says what was wrong with it."""
        if len(token) > _MAX_LENGTH:
            raise Unauthenticated
        # A client comes back with the same token: 1 µs to find it here, 100 µs to verify it anew.
        digest = hashlib.blake2b(token.encode("utf-8", "replace"), digest_size=16).digest()
        known = self._known.get(digest)
        if known is not None:
            if self._clock.now().timestamp() >= known.expires:
                del self._known[digest]
                raise Unauthenticated
            return known
        verified = self._verified(token)
        while len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]  # the one that was verified longest ago
        self._known[digest] = verified
        return verified

    def _verified(self, token: str) -> Verified:
        try:
            secret = self._secrets[jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(
                token,
                secret,
                algorithms=[_ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options=self._options,
            )
            return self._checked(claims)
        except (jwt.PyJWTError, KeyError, TypeError, ValueError, AttributeError, RecursionError):
            raise Unauthenticated from None

    def _checked(self, claims: dict[str, Any]) -> Verified:
        now = self._clock.now().timestamp()
        issued, expires, subject = claims["iat"], claims["exp"], claims["sub"]
        if not all(type(value) is int for value in (issued, expires)):
            raise ValueError("times are whole seconds")
        if expires - issued != int(LIFETIME.total_seconds()):
            raise ValueError("not of our making")
        # A minute for hosts whose clocks differ.
        if not isinstance(claims["jti"], str) or not issued - 60 <= now < expires:
            raise ValueError("not valid now")
        if not (subject.isascii() and subject.isdigit()) or len(subject) > 19:
            raise ValueError("not a user id")
        return Verified(int(subject), claims["jti"], float(expires))


def _kid(secret: str) -> str:
    """Names a secret without telling anything of it."""
    return hashlib.sha256(b"gtsd-kid:" + secret.encode()).hexdigest()[:12]
