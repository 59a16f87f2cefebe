"""Use cases of an account: sign up, log in, change, prove, delete."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gtsd.accounts import mailed_tokens, places, sessions
from gtsd.accounts import queries as q
from gtsd.accounts.sessions import Place
from gtsd.accounts.types import (
    AccountChange,
    LogIn,
    PasswordChange,
    SignUp,
    Tokens,
)
from gtsd.errors import Conflict, Forbidden, TooManyRequests, Unauthenticated
from gtsd.photos import operations as photos
from gtsd.stores.limits import Limit, address_subject
from gtsd.stores.postgres import ConstraintViolated
from gtsd.web.answers import encode

if TYPE_CHECKING:
    from gtsd.deps import Deps
    from gtsd.stores.postgres import Session, Transaction

_FAILURE_WINDOW_S: Final = 15 * 60


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
    await mailed_tokens.post_verification(deps, tx, new.email)
    await places.note(deps, tx, user_id, place)
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
        await places.tell_if_new(deps, tx, user_id, place)
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
