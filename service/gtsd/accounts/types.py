"""What clients send and get about accounts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, UnsetType

from gtsd.web.fields import END, Id, Input, Output, Timestamp

# Blanks, control characters, and what would make two addresses or a name of one in a mail's header.
_NEVER: Final = r"\s\ufeff\x00-\x1f\x7f-\x9f\"(),:;<>\[\]\\"
Email = Annotated[
    str,
    Meta(
        pattern=rf"^[^@{_NEVER}]{{1,64}}@[^@.{_NEVER}]+(\.[^@.{_NEVER}]+)+" + END,
        max_length=254,
        description="an email address",
        examples=["ada@example.com"],
    ),
]
# 8 to 128 characters with a lower and an upper case letter, a digit and a symbol.
Password = Annotated[
    str,
    Meta(
        pattern=r"^(?=[\s\S]*[a-z])(?=[\s\S]*[A-Z])(?=[\s\S]*[0-9])(?=[\s\S]*[^A-Za-z0-9])"
        r"[\s\S]{8,128}" + END,
        description="8 to 128 characters with upper and lower case, a digit and a symbol",
        examples=["Correct-horse-7"],
    ),
]
# What is compared with a hash may be anything: only its length is bounded.
GivenPassword = Annotated[str, Meta(min_length=1, max_length=128)]
Name = Annotated[
    str,
    Meta(
        pattern=r"^[^\x00-\x1f\x7f-\x9f]*[^\s\ufeff\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*" + END,
        min_length=1,
        max_length=255,
        description="a name of 1 to 255 characters, not only blanks",
        examples=["Ada Lovelace"],
    ),
]
Phone = Annotated[
    str,
    Meta(
        pattern=r"^\+[1-9][0-9]{6,14}" + END,
        description="a phone number in E.164 form",
        examples=["+4930123456"],
    ),
]
Timezone = Annotated[
    str,
    Meta(min_length=1, max_length=64, description="an IANA time zone", examples=["Europe/Berlin"]),
]
Opaque = Annotated[str, Meta(min_length=1, max_length=256)]


@cache
def _timezones() -> frozenset[str]:
    """The same on every host, whatever its own list says.

    That list may have `localtime` as well, which is the server's zone and no person's.
    """
    names = (files("tzdata") / "zones").read_text().split()
    return frozenset(names) - {"Factory"}


def timezone_problems(timezone: str | UnsetType | None) -> Mapping[str, str]:
    """What is wrong with the field ``timezone``, if anything."""
    if isinstance(timezone, str) and timezone not in _timezones():
        return {"timezone": 'must be an IANA time zone, for example "Europe/Berlin"'}
    return {}


class SignUp(Input, frozen=True):
    """A new account."""

    email: Email
    password: Password
    name: Name
    phone: Phone | None = None
    timezone: Timezone = "UTC"

    def problems(self) -> Mapping[str, str]:
        """A time zone that does not exist."""
        return timezone_problems(self.timezone)


class LogIn(Input, frozen=True):
    """Who it is."""

    email: Annotated[str, Meta(min_length=1, max_length=254)]
    password: GivenPassword


class RefreshToken(Input, frozen=True):
    """The token of a session; each is good for one use."""

    refresh_token: Opaque


class AccountChange(Input, frozen=True):
    """Fields to change; those left out stay."""

    name: Name | UnsetType = UNSET
    email: Email | UnsetType = UNSET
    phone: Phone | UnsetType | None = UNSET
    timezone: Timezone | UnsetType = UNSET
    sms_opt_in: bool | UnsetType = UNSET

    def problems(self) -> Mapping[str, str]:
        """A time zone that does not exist."""
        return timezone_problems(self.timezone)


class PasswordChange(Input, frozen=True):
    """The old and the new password."""

    current_password: GivenPassword
    new_password: Password

    def problems(self) -> Mapping[str, str]:
        """A new password that is the old one."""
        if self.current_password == self.new_password:
            return {"newPassword": "must differ from the current password"}
        return {}


class ForgotPassword(Input, frozen=True):
    """Whose password is forgotten."""

    email: Email


class ResetPassword(Input, frozen=True):
    """The token of the mail and the new password."""

    token: Opaque
    new_password: Password


class VerifyEmail(Input, frozen=True):
    """The token of the mail."""

    token: Opaque


class DeleteAccount(Input, frozen=True):
    """Proof that it is the owner who asks."""

    password: GivenPassword


class User(Output):
    """An account as its owner sees it."""

    id: Id
    email: str
    name: str
    phone: str | None
    sms_opt_in: bool
    timezone: str
    is_active: bool
    email_verified: bool
    email_verified_at: Timestamp | None
    last_login_at: Timestamp | None
    has_completed_onboarding: bool
    dietary_preferences: list[str]
    allergies: list[str]
    meals_per_day: int
    created_at: Timestamp
    updated_at: Timestamp


class Tokens(Output):
    """Proof of identity; ``expiresIn`` is the life of the access token in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int


class SignedIn(Tokens):
    """The account and its tokens."""

    user: User


class Session(Output):
    """One place where the account is signed in."""

    id: Id
    user_agent: str
    address: str | None
    created_at: Timestamp
    last_used_at: Timestamp
    current: Annotated[bool, Meta(description="The one that makes this request.")]


class Sessions(Output):
    """All of them, the last used first."""

    sessions: list[Session]


# What a mailed token is good for.
TokenPurpose = Literal["reset_password", "verify_email"]
