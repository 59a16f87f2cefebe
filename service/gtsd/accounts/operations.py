"""Use cases of an account: sign up, log in, change, prove, delete."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gtsd.accounts import queries as q
from gtsd.accounts import sessions
from gtsd.accounts.refresh import RefreshToken
from gtsd.accounts.sessions import Place
from gtsd.accounts.types import (
    AccountChange,
    LogIn,
    MailKind,
    PasswordChange,
    ResetPassword,
    SignUp,
    Tokens,
)
from gtsd.errors import BadRequest, Conflict, Forbidden, TooManyRequests, Unauthenticated
from gtsd.photos import operations as photos
from gtsd.stores.limits import Limit, address_subject
from gtsd.stores.postgres import ConstraintViolated
from gtsd.web.answers import encode

if TYPE_CHECKING:
    from gtsd.deps import Deps
    from gtsd.stores.postgres import Session, Transaction

_FAILURE_WINDOW_S: Final = 15 * 60
_MAIL_SECRET_BYTES: Final = 32
_LIFETIME_HOURS: Final = {"reset_password": 1, "verify_email": 72}


async def sign_up(
    deps: Deps, tx: Transaction, new: SignUp, password_hash: str, place: Place
) -> bytes:
    """A new account, signed in; raises Conflict ``email_taken``, also for the loser of a race."""
    try:
        row = await tx.row(
            q.ADD_USER,
            email=new.email,
            password_hash=password_hash,
            name=new.name,
            phone=new.phone,
            timezone=new.timezone,
            # The first of their midnights is the one that comes next.
            yesterday=deps.clock.today(new.timezone) - timedelta(days=1),
        )
    except ConstraintViolated as error:
        raise _taken(error) from None
    assert row is not None
    user_id, user = row
    await _prepare_mail(deps, tx, "verify_email", new.email)
    return _signed_in(user, await sessions.start(deps, tx, user_id, place))


async def log_in(deps: Deps, given: LogIn, place: Place) -> bytes:
    """A session for the right password.

    Raises Unauthenticated with one text, after the same work, for an unknown email and a wrong
    password; Forbidden only after a right one; TooManyRequests after too many failures.
    """
    refusal = Unauthenticated("The email or the password is wrong.", code="invalid_credentials")
    uses = await _reserve_failure(deps, given.email.lower(), place.address)
    row = await deps.postgres.row(q.CREDENTIALS, email=given.email)
    user_id, hashed, is_active, timezone = row or (0, None, False, "UTC")
    if not await deps.passwords.matches(given.password, hashed):
        raise refusal
    await deps.limits.give_back(uses)
    if not is_active:
        raise _deactivated()
    outdated = deps.passwords.is_outdated(hashed)
    rehashed = await deps.passwords.hash(given.password) if outdated else None
    async with deps.postgres.transaction() as tx:
        # First, as everywhere: it may lock the streak, and the deletion of an account locks that
        # before the account.
        await sessions.arrive(deps, tx, user_id, timezone)
        user = await tx.value(q.NOTE_LOGIN, user_id=user_id, password_hash=rehashed)
        if user is None:
            raise refusal
        return _signed_in(user, await sessions.start(deps, tx, user_id, place))


async def show(session: Session, user_id: int) -> bytes:
    """The account as its owner sees it."""
    return _found(await session.value(q.USER, user_id=user_id))


async def change(tx: Transaction, user_id: int, change_: AccountChange) -> bytes:
    """Change some fields; a new email is not verified. Raises Conflict ``email_taken``."""
    given: dict[str, Any] = {
        name: None if value is msgspec.UNSET else value
        for name, value in msgspec.structs.asdict(change_).items()
    }
    sets_phone = change_.phone is not msgspec.UNSET
    try:
        user = await tx.value(q.CHANGE_USER, user_id=user_id, sets_phone=sets_phone, **given)
    except ConstraintViolated as error:
        raise _taken(error) from None
    return _found(user)


async def change_password(
    deps: Deps, user_id: int, jti: str, given: PasswordChange, place: Place
) -> None:
    """Raises Unauthenticated for a wrong current password; signs out everywhere but here."""
    uses = await _reserve_failure(deps, f"user:{user_id}", place.address)
    hashed = await deps.postgres.value(q.PASSWORD_HASH, user_id=user_id)
    if not await deps.passwords.matches(given.current_password, hashed):
        raise Unauthenticated("The current password is wrong.", code="invalid_credentials")
    await deps.limits.give_back(uses)
    password_hash = await deps.passwords.hash(given.new_password)
    async with deps.postgres.transaction() as tx:
        await tx.execute(q.SET_PASSWORD, user_id=user_id, password_hash=password_hash)
        await sessions.end_others(tx, user_id, jti)


async def forgot_password(deps: Deps, email: str) -> None:
    """Mail a one-time token if there is such an account; nothing tells the caller whether."""
    async with deps.postgres.transaction() as tx:
        await _prepare_mail(deps, tx, "reset_password", email)


async def reset_password(deps: Deps, given: ResetPassword) -> None:
    """Set the password of the token's owner and sign out everywhere."""
    refusal = BadRequest("The token is wrong, used or too old.", code="invalid_token")
    token = RefreshToken.parse(given.token, refusal, _MAIL_SECRET_BYTES)
    password_hash = await deps.passwords.hash(given.new_password)
    async with deps.postgres.transaction() as tx:
        await _use_token(tx, token, "reset_password", refusal)
        await tx.execute(q.VOID_ACCOUNT_TOKENS, user_id=token.user_id, purpose="reset_password")
        await tx.execute(q.SET_PASSWORD, user_id=token.user_id, password_hash=password_hash)
        await sessions.end_others(tx, token.user_id, jti="")


async def verify_email(tx: Transaction, text: str) -> bytes:
    """Note that the owner reads mails to the address that the token was sent to."""
    refusal = BadRequest("The token is wrong, used or too old.", code="invalid_token")
    token = RefreshToken.parse(text, refusal, _MAIL_SECRET_BYTES)
    email = await _use_token(tx, token, "verify_email", refusal)
    user: str | None = await tx.value(q.VERIFY_EMAIL, user_id=token.user_id, email=email)
    if user is None:
        raise refusal
    return user.encode()


async def resend_verification(deps: Deps, user_id: int) -> None:
    """Mail a new token, unless the address is verified already."""
    async with deps.postgres.transaction() as tx:
        row = await tx.row(q.CONTACT, user_id=user_id)
        if row is not None and not row[1]:
            await _prepare_mail(deps, tx, "verify_email", row[0])


async def delete(deps: Deps, user_id: int, password: str, place: Place) -> None:
    """Delete the account and all its rows; a job deletes its photos.

    Raises Unauthenticated for a wrong password.
    """
    uses = await _reserve_failure(deps, f"user:{user_id}", place.address)
    hashed = await deps.postgres.value(q.PASSWORD_HASH, user_id=user_id)
    if not await deps.passwords.matches(password, hashed):
        raise Unauthenticated("The password is wrong.", code="invalid_credentials")
    await deps.limits.give_back(uses)
    async with deps.postgres.transaction() as tx:
        await tx.execute(q.DELETE_USER, user_id=user_id)
        await photos.forget_owner(tx, user_id)
        tx.after_commit(lambda: deps.cache.forget(user_id))


async def _reserve_failure(deps: Deps, account: str, address: str) -> list[tuple[Limit, str]]:
    """Count a failure before it happens: parallel guesses would all pass a check made first."""
    settings = deps.settings
    uses = [
        (Limit("login_account", settings.login_failures_account, _FAILURE_WINDOW_S), account),
        (
            Limit("login_address", settings.login_failures_address, _FAILURE_WINDOW_S),
            address_subject(address),
        ),
    ]
    for usage in await deps.limits.hit_all(uses):
        if not usage.allowed:
            raise TooManyRequests(
                "Too many failed logins. Wait for the time in Retry-After.",
                code="too_many_failures",
                retry_after=usage.retry_after_s,
            )
    return uses


async def _prepare_mail(deps: Deps, tx: Transaction, kind: MailKind, email: str) -> None:
    secret = secrets.token_bytes(_MAIL_SECRET_BYTES)
    row = await tx.row(
        q.ADD_ACCOUNT_TOKEN,
        secret=secret,
        purpose=kind,
        email=email,
        hours=_LIFETIME_HOURS[kind],
    )
    if row is not None:
        token = sessions.mail_token(row[0], secret)
        tx.after_commit(lambda: deps.mails.send(kind, row[1], token))


async def _use_token(
    tx: Transaction, token: RefreshToken, purpose: MailKind, refusal: BadRequest
) -> str:
    email: str | None = await tx.value(
        q.USE_ACCOUNT_TOKEN, user_id=token.user_id, token_hash=token.hash, purpose=purpose
    )
    if email is None:
        raise refusal
    return email


def _signed_in(user: str, tokens: Tokens) -> bytes:
    return b'{"user":%b,%b' % (user.encode(), encode(tokens)[1:])


def _found(user: str | None) -> bytes:
    """Nothing is found of an account that was deleted after its token had been checked."""
    if user is None:
        raise Unauthenticated
    return user.encode()


def _taken(error: ConstraintViolated) -> Exception:
    if error.constraint == "users_email_unique":
        return Conflict("There is an account with this email.", code="email_taken")
    return error


def _deactivated() -> Forbidden:
    return Forbidden("This account is deactivated.", code="account_deactivated")
