"""Environments that are accepted, to be spoilt one variable at a time."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

from gtsd.settings import Problem, Settings, SettingsError, read


def random_text(seed: str) -> str:
    """What a random generator could have made, and the same at each run."""
    return base64.b64encode(hashlib.sha384(seed.encode()).digest()).decode()


JWT_SECRET = random_text("now")
JWT_SECRET_PREVIOUS = random_text("before")
DATABASE_PASSWORD = "q7Vw2mXr9KtZ"
REDIS_PASSWORD = "b4Ns8yLp3HcJ"
SMTP_PASSWORD = "e5Tk1vWq8MfD"

DEVELOPMENT: Mapping[str, str] = {
    "DATABASE_URL": "postgresql://gtsd:gtsd@127.0.0.1/gtsd",
    "JWT_SECRET": JWT_SECRET,
}
PRODUCTION: Mapping[str, str] = {
    "APP_ENV": "production",
    "DATABASE_URL": (
        f"postgresql://api:{DATABASE_PASSWORD}@db.example.org:5432/gtsd?sslmode=verify-full"
    ),
    "REDIS_URL": f"rediss://api:{REDIS_PASSWORD}@cache.example.org:6379/0",
    "JWT_SECRET": JWT_SECRET,
    "JWT_SECRET_PREVIOUS": JWT_SECRET_PREVIOUS,
    "S3_ENDPOINT": "https://s3.example.org",
    "S3_ACCESS_KEY_ID": "AKQ2MZX8W4",
    "S3_SECRET_ACCESS_KEY": "w8Rk2cYv7TqPz4",
    "S3_BUCKET": "gtsd-production",
    "SMTP_URL": f"smtps://api:{SMTP_PASSWORD}@mail.example.org",
    "GTSD_MAIL_FROM": "GTSD <no-reply@example.org>",
    "GTSD_PUBLIC_URL": "https://api.example.org",
    "TWILIO_ACCOUNT_SID": "AC0123456789abcdef0123456789abcdef",
    "TWILIO_AUTH_TOKEN": "u2Jx7Rm4Qz9LcB",
    "GTSD_SMS_FROM": "+15005550006",
}


def problems(environ: Mapping[str, str]) -> list[Problem]:
    """Everything that is wrong with an environment."""
    try:
        read(environ)
    except SettingsError as error:
        return error.problems
    return []


def told(environ: Mapping[str, str]) -> dict[str, str]:
    """The problem of each variable; fails when a variable is told of twice."""
    found = problems(environ)
    assert len({p.variable for p in found}) == len(found), found
    return {p.variable: p.problem for p in found}


def development(**changes: str) -> Settings:
    """Settings for a test that needs a few of them to differ."""
    return read({**DEVELOPMENT, **changes})
