"""What staging and production refuse, and what does not go together anywhere."""

from __future__ import annotations

import pytest

from gtsd.settings import read
from tests.support.environments import (
    DATABASE_PASSWORD,
    DEVELOPMENT,
    JWT_SECRET,
    PRODUCTION,
    REDIS_PASSWORD,
    told,
)

STRICT = ("staging", "production")
DB = f"postgresql://api:{DATABASE_PASSWORD}@"
REFUSED = [
    ("JWT_SECRET", "k" * 64, "different characters"),
    ("JWT_SECRET", "changeme-changeme-please-changeme!", "words"),
    ("JWT_SECRET_PREVIOUS", "secret-key" * 5, "repeats"),
    ("DATABASE_URL", f"{DB}db.example.org/gtsd", "sslmode must be require"),
    ("DATABASE_URL", f"{DB}db.example.org/gtsd?sslmode=disable", "for db.example.org"),
    ("DATABASE_URL", f"{DB}db.example.org/gtsd?sslmode=allow", "sslmode"),
    ("DATABASE_URL", f"{DB}10.0.0.1/gtsd?sslmode=prefer", "for 10.0.0.1"),
    ("DATABASE_URL", f"{DB}127.0.0.1,db2/gtsd", "for db2"),
    ("DATABASE_URL", f"{DB}localhost/gtsd?hostaddr=10.0.0.1", "for 10.0.0.1"),
    ("DATABASE_URL", "postgresql://user:password@host/db?sslmode=require", "well-known"),
    ("DATABASE_URL", "postgresql://gtsd:gtsd@127.0.0.1/gtsd", "well-known"),
    ("DATABASE_URL", "postgresql:///gtsd?host=/run/postgresql&password=postgres", "well-known"),
    ("REDIS_URL", f"redis://api:{REDIS_PASSWORD}@cache:6379", "rediss://"),
    ("REDIS_URL", "rediss://user:password@host:6379", "well-known"),
    ("REDIS_URL", "redis://127.0.0.1?password=redis", "well-known"),
    ("S3_ENDPOINT", "http://s3.example.org", "https://"),
    ("S3_SECRET_ACCESS_KEY", "your_secret_key", "well-known"),
    ("S3_SECRET_ACCESS_KEY", PRODUCTION["S3_ACCESS_KEY_ID"], "well-known"),
    ("SMTP_URL", "file:///" + "srv/mails", "sends no mail"),
    ("SMTP_URL", "smtps://gtsd:gtsd@mail.example.org", "well-known"),
    ("GTSD_PUBLIC_URL", "http://api.example.org", "by https://"),
    ("TWILIO_AUTH_TOKEN", "<auth token>", "well-known"),
    ("TWILIO_API_URL", "http://api.twilio.example", "in clear"),
    ("GTSD_CORS_ORIGINS", "https://app.example.org,*", "not *"),
    ("GTSD_TRUSTED_PROXIES", "10.0.0.0/8,0.0.0.0/0", "forge"),
    ("GTSD_TRUSTED_PROXIES", "::/0", "forge"),
    ("PORT", "0", "random port"),
    ("GTSD_DRAIN_TIMEOUT", "9", "less than the 10 s"),
]


@pytest.mark.parametrize("app_env", STRICT)
def test_a_safe_environment_is_accepted(app_env: str) -> None:
    """The control of all refusals below: each spoils one variable of it."""
    assert told({**PRODUCTION, "APP_ENV": app_env}) == {}


@pytest.mark.parametrize("app_env", STRICT)
@pytest.mark.parametrize(("name", "text", "sentence"), REFUSED)
def test_what_is_weak_is_refused(app_env: str, name: str, text: str, sentence: str) -> None:
    """One problem, of that variable, which says why."""
    found = told({**PRODUCTION, "APP_ENV": app_env, name: text})
    assert found.keys() == {name}
    assert sentence in found[name]


@pytest.mark.parametrize("app_env", ["development", "test"])
@pytest.mark.parametrize(("name", "text", "sentence"), REFUSED)
def test_a_developer_may_do_it(app_env: str, name: str, text: str, sentence: str) -> None:
    """The same values start on a developer's machine."""
    assert told({**PRODUCTION, "APP_ENV": app_env, name: text}) == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DATABASE_URL", f"{DB}127.0.0.1:6432/gtsd"),
        ("DATABASE_URL", f"{DB}[::1]:6432/gtsd?sslmode=disable"),
        ("DATABASE_URL", "postgresql://api@/gtsd?host=/run/postgresql"),
        ("DATABASE_URL", f"{DB}a,b/gtsd?sslmode=require&target_session_attrs=read-write"),
        ("DATABASE_URL", f"{DB}db/gtsd?sslmode=verify-ca"),
        ("DATABASE_URL", f"{DB}db/gtsd?ssl=true"),
        ("REDIS_URL", f"redis://api:{REDIS_PASSWORD}@127.0.0.1:6379"),
        ("REDIS_URL", "unix:///run/redis/gtsd.sock"),
        ("S3_ENDPOINT", "http://127.0.0.1:9000"),
        ("GTSD_TRUSTED_PROXIES", "10.0.0.0/8"),
    ],
)
def test_what_never_leaves_the_machine_needs_no_tls(name: str, text: str) -> None:
    """PgBouncer and Redis on the same host; and the sslmodes that are enough for others."""
    assert told({**PRODUCTION, name: text}) == {}


def test_several_weaknesses_of_one_url_are_one_problem() -> None:
    """Both are in it, so that one edit mends it."""
    text = "postgresql://user:password@host:5432/database"
    sentence = told({**PRODUCTION, "DATABASE_URL": text})["DATABASE_URL"]
    assert "sslmode" in sentence
    assert "well-known" in sentence


@pytest.mark.parametrize("app_env", ["development", "production"])
def test_a_signing_secret_must_be_given_everywhere(app_env: str) -> None:
    """There is no default to forget: not even for developers."""
    environ = {**PRODUCTION, "APP_ENV": app_env, "JWT_SECRET": ""}
    assert told(environ) == {"JWT_SECRET": "is missing"}
    short = {**environ, "JWT_SECRET": JWT_SECRET[:31]}
    assert "at least 32 bytes" in told(short)["JWT_SECRET"]


def test_the_previous_secret_must_be_another() -> None:
    """Otherwise the rotation did not happen."""
    found = told({**DEVELOPMENT, "JWT_SECRET_PREVIOUS": JWT_SECRET})
    assert "same as JWT_SECRET" in found["JWT_SECRET_PREVIOUS"]


@pytest.mark.parametrize(
    "missing", ["S3_ENDPOINT", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", "S3_BUCKET"]
)
def test_the_object_store_is_given_whole_or_not_at_all(missing: str) -> None:
    """Each one that is missing is told; the region has a default."""
    found = told({**PRODUCTION, missing: ""})
    assert found.keys() == {missing}
    assert "give all or none" in found[missing]
    none = {name: text for name, text in PRODUCTION.items() if not name.startswith("S3_")}
    assert told({**none, "S3_REGION": "eu-central-1"}) == {}


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({}, 20),
        ({"GTSD_INSTANCES": "4"}, 20),
        ({"GTSD_INSTANCES": "4", "GTSD_HOSTS": "3"}, 6),
        ({"GTSD_DATABASE_MAX_CONNECTIONS": "18", "GTSD_INSTANCES": "12"}, 1),
        ({"GTSD_DATABASE_MAX_CONNECTIONS": "29", "GTSD_INSTANCES": "12"}, 1),
        ({"GTSD_DATABASE_POOL_SIZE": "47", "GTSD_INSTANCES": "2"}, 47),
        ({"GTSD_DATABASE_POOL_SIZE": "1"}, 1),
    ],
)
def test_the_pool_is_as_given_or_its_share_of_the_budget(
    changes: dict[str, str], size: int
) -> None:
    """Rounded down, at most 20; one that was given may be larger when the budget allows it."""
    assert read({**DEVELOPMENT, **changes}).pool_size == size


def test_pools_over_the_budget_are_refused_with_the_arithmetic() -> None:
    """Whether the size is given or cannot even be one."""
    given = {"GTSD_DATABASE_POOL_SIZE": "20", "GTSD_HOSTS": "3", "GTSD_INSTANCES": "2"}
    sentence = told({**DEVELOPMENT, **given})["GTSD_DATABASE_POOL_SIZE"]
    assert "3 GTSD_HOSTS * (20 connections * 2 GTSD_INSTANCES + 6 of the worker) = 138" in sentence
    assert "more than the 100 of GTSD_DATABASE_MAX_CONNECTIONS" in sentence
    derived = {"GTSD_DATABASE_MAX_CONNECTIONS": "17", "GTSD_INSTANCES": "12"}
    sentence = told({**DEVELOPMENT, **derived})["GTSD_DATABASE_MAX_CONNECTIONS"]
    assert "1 GTSD_HOSTS * (1 connections * 12 GTSD_INSTANCES + 6 of the worker) = 18" in sentence


def test_a_value_that_cannot_be_read_is_told_of_once() -> None:
    """The rules that would need it are not tried on it."""
    environ = {**PRODUCTION, "DATABASE_URL": "nonsense", "JWT_SECRET": "short"}
    found = told(environ)
    assert "starts with postgresql://" in found["DATABASE_URL"]
    assert "at least 32 bytes" in found["JWT_SECRET"]
