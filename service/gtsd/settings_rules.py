"""Which settings do not go together, and what staging and production refuse.

A rule yields the field it is about and a sentence that follows the name of its variable.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import TYPE_CHECKING, NamedTuple

from gtsd import settings_strength as strength
from gtsd import settings_urls
from gtsd.settings_urls import is_local

if TYPE_CHECKING:
    from gtsd.settings import Settings


class Broken(NamedTuple):
    """A rule that does not hold."""

    field: str
    problem: str


def broken(settings: Settings) -> Iterator[Broken]:
    """All rules that do not hold; empty strings stand for values that could not be read."""
    yield from _object_store_is_whole(settings)
    yield from _pools_fit_the_budget(settings)
    yield from _keys_differ(settings)
    yield from _mails_are_whole(settings)
    yield from _text_messages_are_whole(settings)
    if settings.strict:
        yield from _keys_are_strong(settings)
        yield from _database_is_safe(settings)
        yield from _redis_is_safe(settings)
        yield from _object_store_is_safe(settings)
        yield from _mails_are_safe(settings)
        yield from _text_messages_are_safe(settings)
        yield from _callers_are_named(settings)
        yield from _requests_survive_a_stop(settings)


def _object_store_is_whole(settings: Settings) -> Iterator[Broken]:
    fields = ("s3_endpoint", "s3_access_key_id", "s3_secret_access_key", "s3_bucket")
    missing = [field for field in fields if getattr(settings, field) is None]
    if len(missing) < len(fields):
        for field in missing:
            yield Broken(field, "is missing, while other S3_ settings are given: give all or none")


def _pools_fit_the_budget(settings: Settings) -> Iterator[Broken]:
    budget, size = settings.database_max_connections, settings.pool_size
    total = settings.hosts * (size * settings.instances + settings.worker_pool_size)
    if total <= budget:
        return
    sum_ = (
        f"{settings.hosts} GTSD_HOSTS * ({size} connections * {settings.instances} GTSD_INSTANCES"
        f" + {settings.worker_pool_size} of the worker) = {total}"
    )
    if settings.database_pool_size is None:
        yield Broken(
            "database_max_connections",
            f"is {budget}, too few for one connection in each process: {sum_}",
        )
    else:
        yield Broken(
            "database_pool_size",
            f"is too large: {sum_}, more than the {budget} of GTSD_DATABASE_MAX_CONNECTIONS",
        )


def _keys_differ(settings: Settings) -> Iterator[Broken]:
    if settings.jwt_secret and settings.jwt_secret == settings.jwt_secret_previous:
        yield Broken(
            "jwt_secret_previous", "is the same as JWT_SECRET: remove it, or make a new JWT_SECRET"
        )


def _mails_are_whole(settings: Settings) -> Iterator[Broken]:
    if settings.smtp_url and not settings.mail_from:
        yield Broken("mail_from", "is missing, while SMTP_URL is given")


def _text_messages_are_whole(settings: Settings) -> Iterator[Broken]:
    fields = ("twilio_account_sid", "twilio_auth_token", "sms_from")
    missing = [field for field in fields if not getattr(settings, field)]
    if len(missing) == len(fields):
        return
    for field in missing:
        yield Broken(field, "is missing, while other settings of text messages are given")
    if not settings.sms_webhook_url and not settings.public_url:
        yield Broken(
            "sms_webhook_url", "is missing: what Twilio sends cannot be checked without it"
        )


def _keys_are_strong(settings: Settings) -> Iterator[Broken]:
    for field in ("jwt_secret", "jwt_secret_previous"):
        weakness = strength.weakness_of_key(getattr(settings, field) or "")
        if weakness:
            yield Broken(field, f"is refused in {settings.app_env}: {weakness}")


def _database_is_safe(settings: Settings) -> Iterator[Broken]:
    if not settings.database_url:
        return
    address = settings_urls.postgres_address(settings.database_url)
    weaknesses = []
    if address.remote and address.parameters.get("sslmode") not in settings_urls.SAFE_SSL_MODES:
        weaknesses.append(
            f"sslmode must be require, verify-ca or verify-full for {', '.join(address.remote)}"
            " (only a unix socket and the loopback, such as PgBouncer's on this host, may go"
            " without)"
        )
    if strength.is_default_password(address.password, address.user):
        weaknesses.append("the password is a well-known one")
    if weaknesses:
        yield Broken("database_url", f"is refused in {settings.app_env}: {'; '.join(weaknesses)}")


def _redis_is_safe(settings: Settings) -> Iterator[Broken]:
    if not settings.redis_url:
        return
    address = settings_urls.redis_address(settings.redis_url)
    weaknesses = []
    if address.remote and address.scheme != "rediss":
        weaknesses.append(
            f"{address.remote[0]} must be reached by TLS, rediss:// (only unix:// and the loopback"
            " may go without)"
        )
    if strength.is_default_password(address.password, address.user):
        weaknesses.append("the password is a well-known one")
    if weaknesses:
        yield Broken("redis_url", f"is refused in {settings.app_env}: {'; '.join(weaknesses)}")


def _object_store_is_safe(settings: Settings) -> Iterator[Broken]:
    if settings.s3_endpoint:
        scheme, host = settings_urls.http_host(settings.s3_endpoint)
        if scheme == "http" and not is_local(host):
            yield Broken(
                "s3_endpoint",
                f"is refused in {settings.app_env}: {host} must be reached by https://"
                " (only the loopback may go without)",
            )
    name = settings.s3_access_key_id or ""
    for field, user in (("s3_access_key_id", ""), ("s3_secret_access_key", name)):
        if strength.is_default_password(getattr(settings, field) or "", user):
            yield Broken(field, f"is refused in {settings.app_env}: it is a well-known one")


def _mails_are_safe(settings: Settings) -> Iterator[Broken]:
    if not settings.smtp_url:
        return
    address = settings_urls.mail_address(settings.smtp_url)
    if address.scheme == "file":
        yield Broken("smtp_url", f"is refused in {settings.app_env}: a folder sends no mail")
    if strength.is_default_password(address.password, address.user):
        yield Broken(
            "smtp_url", f"is refused in {settings.app_env}: the password is a well-known one"
        )
    if not (settings.public_url or "").startswith("https://"):
        yield Broken(
            "public_url", f"must be given in {settings.app_env}, by https://, for links in mails"
        )


def _text_messages_are_safe(settings: Settings) -> Iterator[Broken]:
    if not settings.twilio_auth_token:
        return
    if strength.is_default_password(settings.twilio_auth_token, ""):
        yield Broken(
            "twilio_auth_token", f"is refused in {settings.app_env}: it is a well-known one"
        )
    scheme, host = settings_urls.http_host(settings.twilio_api_url)
    if scheme == "http" and not is_local(host):
        yield Broken(
            "twilio_api_url", f"is refused in {settings.app_env}: the token would go out in clear"
        )


def _callers_are_named(settings: Settings) -> Iterator[Broken]:
    if "*" in settings.cors_origins:
        yield Broken("cors_origins", f"is refused in {settings.app_env}: name each origin, not *")
    if any(ip_network(network).prefixlen == 0 for network in settings.trusted_proxies):
        yield Broken(
            "trusted_proxies",
            f"is refused in {settings.app_env}: everybody could forge their address;"
            " name the networks of the proxies",
        )
    if settings.port == 0:
        yield Broken("port", f"is refused in {settings.app_env}: no proxy would find a random port")


def _requests_survive_a_stop(settings: Settings) -> Iterator[Broken]:
    if settings.drain_timeout < settings.request_deadline:
        yield Broken(
            "drain_timeout",
            f"is {settings.drain_timeout:g} s, less than the {settings.request_deadline:g} s that"
            " a request may take (GTSD_REQUEST_DEADLINE): a stop would cut it off",
        )
