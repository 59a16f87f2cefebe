"""Use cases of being signed in: start, go on, end."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gtsd.accounts import queries as q
from gtsd.accounts.refresh import SALT_BYTES, RefreshToken, hash_of, token_id
from gtsd.accounts.types import Tokens
from gtsd.errors import Forbidden, NotFound, Unauthenticated
from gtsd.tasks import series
from gtsd.web.answers import encode
from gtsd.web.tokens import LIFETIME

if TYPE_CHECKING:
    from gtsd.deps import Deps
    from gtsd.stores.postgres import Session, Transaction

_EXPIRES_IN: Final = int(LIFETIME.total_seconds())


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sign-in comes from, as the client says it."""

    user_agent: str
    address: str


async def start(deps: Deps, tx: Transaction, user_id: int, place: Place) -> Tokens:
    """A new session and its first pair of tokens."""
    token = RefreshToken.new(user_id)
    issued = await tx.value(
        q.ADD_SESSION,
        user_id=user_id,
        token_hash=token.hash,
        user_agent=place.user_agent[:255],
        address=place.address or None,
        now=deps.clock.now(),
    )
    return _pair(deps, token, issued)


async def refresh(deps: Deps, text: str, began: float) -> bytes:
    """Spend a token for the next pair.

    Of parallel uses exactly one wins; the others are refused. A retry within 10 s of the winner
    gets the winner's pair. Any other use of a spent token means that somebody copied it: the whole
    session ends. ``began`` is the monotonic time at which the request came in.
    """
    refusal = Unauthenticated("Sign in again.", code="invalid_refresh_token")
    token = RefreshToken.parse(text, refusal)
    tokens: Tokens | None = None
    async with deps.postgres.transaction() as tx:
        row = await tx.row(
            q.REFRESH_TOKEN,
            user_id=token.user_id,
            token_hash=token.hash,
            running_s=time.monotonic() - began,
            now=deps.clock.now(),
        )
        if row is None:
            raise refusal
        session_id, spent, salt, alive, fresh, overlapped, is_active, timezone = row
        if not alive:
            raise refusal
        if not is_active:
            raise Forbidden("This account is deactivated.", code="account_deactivated")
        if not spent:
            tokens = await _spend(deps, tx, token, session_id)
            await arrive(deps, tx, token.user_id, timezone)
        elif fresh and not overlapped:
            tokens = await _repeat(deps, tx, token, bytes(salt))
        if tokens is None and not overlapped:
            await tx.execute(q.REVOKE_SESSION, user_id=token.user_id, session_id=session_id)
    # Raised only now: the revocation has to be committed.
    if tokens is None:
        raise refusal
    return encode(tokens)


async def _spend(deps: Deps, tx: Transaction, token: RefreshToken, session_id: int) -> Tokens:
    salt = secrets.token_bytes(SALT_BYTES)
    successor = token.successor(salt)
    issued = await tx.value(
        q.SPEND_REFRESH_TOKEN,
        user_id=token.user_id,
        token_hash=token.hash,
        session_id=session_id,
        salt=salt,
        successor_hash=successor.hash,
        now=deps.clock.now(),
    )
    return _pair(deps, successor, issued)


async def _repeat(deps: Deps, tx: Transaction, token: RefreshToken, salt: bytes) -> Tokens | None:
    """The pair that was given already; None once its refresh token has been used as well."""
    successor = token.successor(salt)
    issued = await tx.value(
        q.UNSPENT_REFRESH_TOKEN, user_id=token.user_id, token_hash=successor.hash
    )
    return None if issued is None else _pair(deps, successor, issued)


async def arrive(deps: Deps, tx: Transaction, user_id: int, timezone: str) -> None:
    """What is due whenever somebody comes: the next weeks of the repeated tasks."""
    if await series.catch_up(tx, user_id, deps.clock.today(timezone), deps.clock.now()):
        tx.after_commit(lambda: deps.cache.forget(user_id))


def _pair(deps: Deps, token: RefreshToken, issued: float) -> Tokens:
    access = deps.tokens.issue(token.user_id, jti=token_id(token.hash), at=issued)
    return Tokens(access_token=access, refresh_token=token.text, expires_in=_EXPIRES_IN)


async def end(session: Session, text: str) -> None:
    """Sign out; a token that is unknown, spent or ended already is as good."""
    refusal = Unauthenticated()
    try:
        token = RefreshToken.parse(text, refusal)
    except Unauthenticated:
        return
    await session.execute(q.REVOKE_SESSION_OF_TOKEN, user_id=token.user_id, token_hash=token.hash)


async def show(session: Session, user_id: int, jti: str) -> bytes:
    """Where the account is signed in."""
    text: str = await session.value(q.SESSIONS, user_id=user_id, token_hash=hash_of(jti))
    return text.encode()


async def end_one(session: Session, user_id: int, session_id: int) -> None:
    """Sign one place out; raises NotFound for one that is not signed in."""
    if not await session.execute(q.REVOKE_SESSION, user_id=user_id, session_id=session_id):
        raise NotFound


async def end_others(tx: Transaction, user_id: int, jti: str) -> None:
    """Sign out everywhere but here."""
    await tx.execute(q.REVOKE_OTHER_SESSIONS, user_id=user_id, token_hash=hash_of(jti))
