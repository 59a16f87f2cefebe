"""``gtsd check --connect``: whether the servers that the settings name can be reached.

Short and separate from the stores: what is asked here is only whether address, TLS and login are
right, and the answer must come even where a server says nothing.
"""

from __future__ import annotations

import contextlib
import queue
import smtplib
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import boto3
import psycopg2
from botocore.config import Config
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from gtsd import settings_urls
from gtsd.check import Reached
from gtsd.settings import TABLE, Settings

_TIMEOUT: Final = 3.0
# Several hosts of a DSN are tried one after the other, each with the timeout.
_PATIENCE: Final = 8.0


def connect(
    settings: Settings,
    probes: Sequence[tuple[str, Callable[[], None]]] | None = None,
    patience: float = _PATIENCE,
) -> list[Reached]:
    """Try all that are given in the settings, at the same time; at most ``patience`` seconds."""
    tried = _probes(settings) if probes is None else probes
    answers: queue.Queue[Reached] = queue.Queue()
    began = time.monotonic()

    def run(server: str, probe: Callable[[], None]) -> None:
        problem = None
        try:
            probe()
        except Exception as error:  # noqa: BLE001 the boundary: what a driver raises is the finding
            problem = _scrubbed(settings, error)
        answers.put(Reached(server, problem, round((time.monotonic() - began) * 1000)))

    for server, probe in tried:
        # A daemon, so that a server that never answers does not keep the command from ending.
        threading.Thread(target=run, args=(server, probe), daemon=True).start()
    found: dict[str, Reached] = {}
    with contextlib.suppress(queue.Empty):
        while len(found) < len(tried):
            left = began + patience - time.monotonic()
            reached = answers.get(timeout=max(0.001, left))
            found[reached.server] = reached
    silent = f"no answer within {patience:g} s"
    return [
        found.get(server, Reached(server, silent, round(patience * 1000))) for server, _ in tried
    ]


def _probes(settings: Settings) -> list[tuple[str, Callable[[], None]]]:
    probes = [("PostgreSQL", lambda: _postgres(settings.database_url))]
    if (url := settings.redis_url) is not None:
        probes.append(("Redis", lambda: _redis(url)))
    if settings.s3_endpoint is not None:
        probes.append(("object store", lambda: _object_store(settings)))
    if settings.smtp_url is not None:
        address = settings_urls.mail_address(settings.smtp_url)
        if address.scheme != "file":
            probes.append(("mail server", lambda: _mail_server(address)))
    return probes


def _postgres(url: str) -> None:
    with contextlib.closing(psycopg2.connect(url, connect_timeout=int(_TIMEOUT))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")


def _redis(url: str) -> None:
    client = Redis.from_url(
        url,
        socket_timeout=_TIMEOUT,
        socket_connect_timeout=_TIMEOUT,
        retry=Retry(NoBackoff(), 0),
    )
    with contextlib.closing(client):
        client.ping()


def _object_store(settings: Settings) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint,
        aws_access_key_id=settings.s3_access_key_id,
        aws_secret_access_key=settings.s3_secret_access_key,
        region_name=settings.s3_region,
        config=Config(
            connect_timeout=_TIMEOUT, read_timeout=_TIMEOUT, retries={"total_max_attempts": 1}
        ),
    )
    with contextlib.closing(client):
        client.head_bucket(Bucket=settings.s3_bucket or "")


def _mail_server(address: settings_urls.Address) -> None:
    """Connect, with TLS as for a mail, and log in; nothing is sent."""
    context = ssl.create_default_context(cafile=address.parameters.get("ssl_ca_certs"))
    host, port = address.hosts[0], int(address.ports[0])
    client: smtplib.SMTP = (
        smtplib.SMTP_SSL(host, port, timeout=_TIMEOUT, context=context)
        if address.scheme == "smtps"
        else smtplib.SMTP(host, port, timeout=_TIMEOUT)
    )
    with client:
        client.ehlo()
        offered = client.has_extn("starttls")
        if address.scheme == "smtp" and (offered or not settings_urls.is_local(host)):
            client.starttls(context=context)
        if address.user:
            client.login(address.user, address.password)


def _scrubbed(settings: Settings, error: Exception) -> str:
    """The first line of its text; drivers may quote addresses, so secrets are taken out."""
    lines = str(error).strip().splitlines()
    told = lines[0] if lines else type(error).__name__
    for secret in _secrets(settings):
        told = told.replace(secret, settings_urls.MASK)
    return told


def _secrets(settings: Settings) -> list[str]:
    values = [getattr(settings, s.field) for s in TABLE if s.env.secret]
    secrets = [value for value in values if value]
    secrets.append(settings_urls.postgres_address(settings.database_url).password)
    if settings.redis_url is not None:
        secrets.append(settings_urls.redis_address(settings.redis_url).password)
    if settings.smtp_url is not None:
        secrets.append(settings_urls.mail_address(settings.smtp_url).password)
    # The longest first: a password may be a part of another secret.
    return sorted(filter(None, secrets), key=len, reverse=True)
