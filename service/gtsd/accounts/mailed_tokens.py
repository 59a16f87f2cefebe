"""Use cases of the one-time tokens that are mailed: a new password, a verified address."""

from __future__ import annotations

import base64
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gtsd.accounts import mailed_queries as mailed
from gtsd.accounts import queries as q
from gtsd.accounts import sessions
from gtsd.accounts.refresh import RefreshToken
from gtsd.errors import BadRequest, TooManyRequests
from gtsd.mails import operations as mails
from gtsd.mails.types import Letter

if TYPE_CHECKING:
    from gtsd.accounts.types import ResetPassword, TokenPurpose
    from gtsd.deps import Deps
    from gtsd.stores.postgres import Transaction

_SECRET_BYTES: Final = 32
_LIFETIMES: Final[dict[TokenPurpose, timedelta]] = {
    "reset_password": timedelta(hours=1),
    "verify_email": timedelta(hours=72),
}
# Of one purpose to one account in an hour: nobody's inbox is to be flooded by us.
_MOST: Final = 5


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a request for a new password leaves behind: all that the job needs to finish it.

    The token is chosen here already, so that a job which is run twice makes the same one.
    """

    id: str
    email: str
    secret: bytes
    at: datetime


async def forgot_password(deps: Deps, email: str) -> None:
    """Have a one-time token mailed if there is such an account.

    Nothing is looked up here: the same statement runs for every address, so that neither answer
    nor duration tells whether it is known. A worker finds out.
    """
    if deps.mails is None:
        return
    wish = Wish(
        id=mails.new_id(),
        email=email,
        secret=secrets.token_bytes(_SECRET_BYTES),
        at=deps.clock.now(),
    )
    async with deps.postgres.transaction() as tx:
        await deps.jobs.defer(tx, "prepare_reset", {"sealed": deps.seal.close(wish)})


async def prepare_reset(deps: Deps, wish: Wish) -> None:
    """Store the token and post its mail, in one transaction; nothing for an unknown address."""
    async with deps.postgres.transaction() as tx:
        await _post_token(deps, tx, "reset_password", wish)


async def reset_password(deps: Deps, given: ResetPassword) -> None:
    """Set the password of the token's owner and sign out everywhere."""
    refusal = _refusal()
    token = RefreshToken.parse(given.token, refusal, _SECRET_BYTES)
    password_hash = await deps.passwords.hash(given.new_password)
    async with deps.postgres.transaction() as tx:
        await _use(deps, tx, token, "reset_password", refusal)
        await tx.execute(
            mailed.VOID_ACCOUNT_TOKENS, user_id=token.user_id, purpose="reset_password"
        )
        await tx.execute(q.SET_PASSWORD, user_id=token.user_id, password_hash=password_hash)
        await sessions.end_others(tx, token.user_id, jti="")


async def verify_email(deps: Deps, tx: Transaction, text: str) -> bytes:
    """Note that the owner reads mails to the address that the token was sent to."""
    refusal = _refusal()
    token = RefreshToken.parse(text, refusal, _SECRET_BYTES)
    email = await _use(deps, tx, token, "verify_email", refusal)
    user: str | None = await tx.value(q.VERIFY_EMAIL, user_id=token.user_id, email=email)
    if user is None:
        raise refusal
    return user.encode()


async def post_verification(deps: Deps, tx: Transaction, email: str) -> bool:
    """Mail a token to an account's address; False where it was sent often enough."""
    if deps.mails is None:
        return True
    wish = Wish(
        id=mails.new_id(),
        email=email,
        secret=secrets.token_bytes(_SECRET_BYTES),
        at=deps.clock.now(),
    )
    return await _post_token(deps, tx, "verify_email", wish)


async def resend_verification(deps: Deps, user_id: int) -> None:
    """Mail a new token, unless the address is verified already; raises TooManyRequests."""
    async with deps.postgres.transaction() as tx:
        row = await tx.row(mailed.CONTACT, user_id=user_id)
        if row is None or row[1]:
            return
        if not await post_verification(deps, tx, row[0]):
            raise TooManyRequests(
                f"That mail was sent {_MOST} times within an hour. Look into the spam folder.",
                code="too_many_mails",
                retry_after=3600,
            )


async def _post_token(deps: Deps, tx: Transaction, purpose: TokenPurpose, wish: Wish) -> bool:
    ends = wish.at + _LIFETIMES[purpose]
    row = await tx.row(
        mailed.ADD_ACCOUNT_TOKEN,
        secret=wish.secret,
        purpose=purpose,
        email=wish.email,
        now=wish.at,
        ends=ends,
        most=_MOST,
    )
    if row is None:
        return False
    await mails.post(deps, tx, _letter(purpose, wish, row, ends))
    return True


def _letter(purpose: TokenPurpose, wish: Wish, row: tuple[Any, ...], ends: datetime) -> Letter:
    user_id, email, name = row
    return Letter(
        id=wish.id,
        kind=purpose,
        to=email,
        name=name,
        values={"token": token_text(user_id, wish.secret)},
        good_until=ends,
    )


async def _use(
    deps: Deps, tx: Transaction, token: RefreshToken, purpose: TokenPurpose, refusal: BadRequest
) -> str:
    email: str | None = await tx.value(
        mailed.USE_ACCOUNT_TOKEN,
        user_id=token.user_id,
        token_hash=token.hash,
        purpose=purpose,
        now=deps.clock.now(),
    )
    if email is None:
        raise refusal
    return email


def token_text(user_id: int, secret: bytes) -> str:
    """A one-time token as it is mailed: like a refresh token, it leads to the user's rows."""
    return f"{user_id}.{base64.urlsafe_b64encode(secret).decode().rstrip('=')}"


def _refusal() -> BadRequest:
    return BadRequest("The token is wrong, used or too old.", code="invalid_token")
