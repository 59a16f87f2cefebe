"""Every setting of the service, once: its name, type, default and meaning.

A field below is the whole declaration; reading, ``gtsd check`` and ``systemd/gtsd.env.example``
are derived from it. A secret may come in one of three ways: in the variable itself; from the file
that ``<NAME>_FILE`` names; or as a systemd credential, a file of the variable's name in lower case
(``database_url``) in ``$CREDENTIALS_DIRECTORY``. An empty variable counts as not given.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Final, get_type_hints

import msgspec

from gtsd import settings_kinds as kind
from gtsd import settings_rules
from gtsd.settings_reading import Env, Problem, Setting, SettingsError, collect, typos

__all__ = [
    "POOL_CAP",
    "TABLE",
    "Problem",
    "Setting",
    "Settings",
    "SettingsError",
    "read",
]

POOL_CAP: Final = 20


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All of them; durations in seconds. Made once, by ``read``, and passed down."""

    # fmt: off
    app_env: Annotated[str, Env("APP_ENV",
        kind.choice("development", "test", "staging", "production"),
        "development, test, staging or production; the last two refuse what is weak.", "production",
        old="NODE_ENV", section="Process")] = "development"
    host: Annotated[str, Env("GTSD_HOST", kind.address,
        "IP address to listen on when systemd hands over no socket.", "127.0.0.1")] = "127.0.0.1"
    port: Annotated[int, Env("PORT", kind.whole(0, 65535),
        "TCP port to listen on when systemd hands over no socket; 0 takes a free one.",
        "3000")] = 3000
    log_level: Annotated[str, Env("LOG_LEVEL", kind.choice(
            "trace", "debug", "info", "warn", "error", "fatal",
            also={"warning": "warn", "critical": "fatal"}),
        "Least severe lines to log: trace, debug, info, warn, error or fatal.", "info")] = "info"
    log_format: Annotated[str, Env("GTSD_LOG_FORMAT", kind.choice("auto", "json", "pretty"),
        "Shape of a log line; auto is pretty on a terminal and json elsewhere.", "json")] = "auto"
    git_sha: Annotated[str, Env("GIT_SHA", kind.label,
        "Commit that this release was built from.", "4f2a9c1")] = "unknown"
    app_version: Annotated[str, Env("APP_VERSION", kind.label,
        "Version of this release.", "1.4.0")] = "unknown"

    database_url: Annotated[str, Env("DATABASE_URL", kind.postgres_url,
        "Where PostgreSQL is; several hosts, a unix socket and sslmode as libpq reads them.",
        "postgresql://gtsd:<password>@db.example.org:5432/gtsd?sslmode=verify-full",
        secret=kind.masked_postgres, section="PostgreSQL")]
    database_pool_size: Annotated[int | None, Env("GTSD_DATABASE_POOL_SIZE", kind.whole(1, 1000),
        "Connections of one process; derived from the three numbers below when it is not given.",
        "20")] = None
    database_max_connections: Annotated[int, Env("GTSD_DATABASE_MAX_CONNECTIONS",
        kind.whole(1, 100_000),
        "Connections that all processes on all hosts may open together.", "100")] = 100
    hosts: Annotated[int, Env("GTSD_HOSTS", kind.whole(1, 10_000),
        "Hosts that run the API.", "1")] = 1
    instances: Annotated[int, Env("GTSD_INSTANCES", kind.whole(1, 1000),
        "Processes of the API on each host.", "1")] = 1
    database_pool_timeout: Annotated[float, Env("GTSD_DATABASE_POOL_TIMEOUT", kind.seconds(0.1, 60),
        "Longest wait for a free connection, in seconds.", "3")] = 3.0
    database_connect_timeout: Annotated[float, Env("GTSD_DATABASE_CONNECT_TIMEOUT",
        kind.seconds(1, 60),
        "Longest time to open a connection, in seconds.", "5")] = 5.0

    redis_url: Annotated[str | None, Env("REDIS_URL", kind.redis_url,
        "Where Redis is; without it nothing is cached and each process limits by itself.",
        "rediss://gtsd:<password>@cache.example.org:6379/0",
        secret=kind.masked_redis, section="Redis")] = None
    redis_timeout: Annotated[float, Env("GTSD_REDIS_TIMEOUT", kind.seconds(0.01, 10),
        "Longest wait for Redis before the request goes on without it, in seconds.",
        "0.25")] = 0.25
    redis_max_connections: Annotated[int, Env("GTSD_REDIS_MAX_CONNECTIONS", kind.whole(1, 1000),
        "Connections of one process to Redis.", "20")] = 20

    s3_endpoint: Annotated[str | None, Env("S3_ENDPOINT", kind.http_url,
        "Object store for photos; give all of the S3 settings or none.",
        "https://s3.example.org", section="Object store")] = None
    s3_access_key_id: Annotated[str | None, Env("S3_ACCESS_KEY_ID", kind.secret,
        "Name of the key to the object store.", "<access key id>", secret=kind.hidden)] = None
    s3_secret_access_key: Annotated[str | None, Env("S3_SECRET_ACCESS_KEY", kind.secret,
        "The key to the object store.", "<secret access key>", secret=kind.hidden)] = None
    s3_bucket: Annotated[str | None, Env("S3_BUCKET", kind.label,
        "Bucket that holds the photos.", "gtsd-production")] = None
    s3_region: Annotated[str, Env("S3_REGION", kind.label,
        "Region that requests are signed for.", "us-east-1")] = "us-east-1"
    s3_concurrency: Annotated[int, Env("GTSD_S3_CONCURRENCY", kind.whole(1, 100),
        "Requests to the object store that one process makes at a time.", "8")] = 8

    otel_endpoint: Annotated[str | None, Env("OTEL_EXPORTER_OTLP_ENDPOINT", kind.http_url,
        "Collector that takes traces by OTLP over HTTP; without it none are made.",
        "https://otel.example.org:4318", section="Traces")] = None
    otel_service_name: Annotated[str, Env("OTEL_SERVICE_NAME", kind.label,
        "Name of this service in traces.", "gtsd-api")] = "gtsd-api"
    otel_sample_ratio: Annotated[float, Env("OTEL_TRACES_SAMPLER_ARG", kind.number(0, 1),
        "Share of the requests that are traced when the caller did not decide.", "0.1")] = 1.0
    otel_disabled: Annotated[bool, Env("OTEL_SDK_DISABLED", kind.flag,
        "Makes no traces even with a collector given.", "false")] = False

    jwt_secret: Annotated[str, Env("JWT_SECRET", kind.key,
        "Signs access tokens; the same on every host, at least 32 bytes.",
        "$(openssl rand -base64 48)", secret=kind.hidden, section="Accounts")]
    jwt_secret_previous: Annotated[str | None, Env("JWT_SECRET_PREVIOUS", kind.key,
        "The signing secret before the last rotation; its tokens are still accepted.",
        "<the former JWT_SECRET>", secret=kind.hidden)] = None
    password_hash_concurrency: Annotated[int, Env("GTSD_PASSWORD_HASH_CONCURRENCY",
        kind.whole(1, 64),
        "Passwords that one process hashes at a time, on threads.", "2")] = 2
    login_failures_account: Annotated[int, Env("GTSD_LOGIN_FAILURES_ACCOUNT",
        kind.whole(1, 1_000_000),
        "Failed logins of one account in 15 minutes before it is throttled.", "10")] = 10
    login_failures_address: Annotated[int, Env("GTSD_LOGIN_FAILURES_ADDRESS",
        kind.whole(1, 1_000_000),
        "Failed logins from one address in 15 minutes before it is throttled.", "50")] = 50

    smtp_url: Annotated[str | None, Env("SMTP_URL", kind.smtp_url,
        "Mail server: smtps:// is TLS from the start, smtp:// STARTTLS; file:// and a folder keeps"
        " mails there instead. Without it no mails are sent.",
        "smtp://gtsd:<password>@mail.example.org:587",
        secret=kind.masked_smtp, section="Mails")] = None
    mail_from: Annotated[str | None, Env("GTSD_MAIL_FROM", kind.mailbox,
        "Who mails come from; needed with SMTP_URL.",
        "no-reply@example.org")] = None
    public_url: Annotated[str | None, Env("GTSD_PUBLIC_URL", kind.http_url,
        "Where people reach the service; links in mails begin with it.",
        "https://api.example.org")] = None

    twilio_account_sid: Annotated[str | None, Env("TWILIO_ACCOUNT_SID", kind.label,
        "Account at Twilio that text messages are sent by; without it none are.",
        "AC0123456789abcdef0123456789abcdef", section="Text messages")] = None
    twilio_auth_token: Annotated[str | None, Env("TWILIO_AUTH_TOKEN", kind.secret,
        "The account's token; signs what Twilio sends to us as well.", "<auth token>",
        secret=kind.hidden)] = None
    twilio_api_url: Annotated[str, Env("TWILIO_API_URL", kind.http_url,
        "Twilio's API, in the region of the account.",
        "https://api.twilio.com")] = "https://api.twilio.com"
    sms_from: Annotated[str | None, Env("GTSD_SMS_FROM", kind.sms_sender,
        "Number that text messages come from, or a messaging service (MG…) of the account.",
        "+15005550006")] = None
    sms_webhook_url: Annotated[str | None, Env("GTSD_SMS_WEBHOOK_URL", kind.http_url,
        "Where Twilio sends the messages that come in, as it is told there; else"
        " /v1/sms/inbound under GTSD_PUBLIC_URL.",
        "https://api.example.org/v1/sms/inbound")] = None

    cors_origins: Annotated[tuple[str, ...], Env("GTSD_CORS_ORIGINS", kind.origins,
        "Web origins that may call the API from a browser, separated by commas.",
        "https://app.example.org", section="Requests")] = ()
    trusted_proxies: Annotated[tuple[str, ...], Env("GTSD_TRUSTED_PROXIES", kind.networks,
        "Networks whose X-Forwarded-* headers are believed, separated by commas.",
        "127.0.0.1/32,::1/128")] = ("127.0.0.1/32", "::1/128")
    request_deadline: Annotated[float, Env("GTSD_REQUEST_DEADLINE", kind.seconds(0.05, 300),
        "Longest time for one request, in seconds; it reaches the database and Redis.",
        "10")] = 10.0
    max_in_flight: Annotated[int, Env("GTSD_MAX_IN_FLIGHT", kind.whole(1, 100_000),
        "Requests in work in one process before more are answered 503.", "256")] = 256
    max_body_bytes: Annotated[int, Env("GTSD_MAX_BODY_BYTES", kind.whole(1024, 104_857_600),
        "Largest request body, in bytes.", "102400")] = 102_400
    json_depth: Annotated[int, Env("GTSD_JSON_DEPTH", kind.whole(1, 500),
        "Deepest nesting of a JSON body.", "32")] = 32
    keepalive_timeout: Annotated[float, Env("GTSD_KEEPALIVE_TIMEOUT", kind.seconds(0.1, 3600),
        "An idle client connection is closed after this many seconds; longer than the proxy's.",
        "75")] = 75.0
    body_timeout: Annotated[float, Env("GTSD_BODY_TIMEOUT", kind.seconds(0.1, 300),
        "Longest time for a client to send a request, in seconds.", "10")] = 10.0
    drain_delay: Annotated[float, Env("GTSD_DRAIN_DELAY", kind.seconds(0, 300),
        "Seconds of accepting after SIGTERM, until proxies have seen that readiness is red.",
        "2.5")] = 2.5
    drain_timeout: Annotated[float, Env("GTSD_DRAIN_TIMEOUT", kind.seconds(0, 600),
        "Seconds that requests in work may take to finish after that.", "30")] = 30.0

    limit_anonymous: Annotated[int, Env("GTSD_LIMIT_ANONYMOUS", kind.whole(1, 1_000_000),
        "Requests a minute of one address without a token.", "100", section="Limits")] = 100
    limit_user: Annotated[int, Env("GTSD_LIMIT_USER", kind.whole(1, 1_000_000),
        "Requests a minute of one signed-in user.", "200")] = 200
    limit_auth_write: Annotated[int, Env("GTSD_LIMIT_AUTH_WRITE", kind.whole(1, 1_000_000),
        "Sign-ups, logins and the like a minute of one address.", "10")] = 10
    limit_heavy: Annotated[int, Env("GTSD_LIMIT_HEAVY", kind.whole(1, 1_000_000),
        "Expensive requests a minute of one user.", "20")] = 20

    worker_port: Annotated[int, Env("GTSD_WORKER_PORT", kind.whole(0, 65535),
        "Port on the loopback where a worker tells its health and metrics; 0 takes a free one.",
        "3010", section="Background jobs")] = 3010
    worker_concurrency: Annotated[int, Env("GTSD_WORKER_CONCURRENCY", kind.whole(1, 64),
        "Jobs that one worker runs at a time.", "4")] = 4
    worker_poll_interval: Annotated[float, Env("GTSD_WORKER_POLL_INTERVAL", kind.seconds(0.05, 60),
        "Seconds between two looks for jobs while there are none.", "1")] = 1.0
    worker_silence: Annotated[float, Env("GTSD_WORKER_SILENCE", kind.seconds(1, 3600),
        "Seconds without a sign of life after which a worker's jobs are run by others.",
        "30")] = 30.0
    worker_stop_timeout: Annotated[float, Env("GTSD_WORKER_STOP_TIMEOUT", kind.seconds(0, 600),
        "Seconds that jobs may take to finish after SIGTERM before they are left to others.",
        "30")] = 30.0
    # fmt: on

    @property
    def strict(self) -> bool:
        """Staging and production: what is weak is refused."""
        return self.app_env in ("staging", "production")

    @property
    def pool_size(self) -> int:
        """Connections of this process: as given, or its share of the budget, from 1 to 20."""
        if self.database_pool_size is not None:
            return self.database_pool_size
        left = self.database_max_connections - self.hosts * self.worker_pool_size
        return max(1, min(POOL_CAP, left // (self.hosts * self.instances)))

    @property
    def worker_pool_size(self) -> int:
        """Connections of a worker: one for each job, and for what it does beside them."""
        return self.worker_concurrency + 2

    def shown(self, field: str) -> str:
        """The value of a field for people to read, "" for None; secrets are masked."""
        return _BY_FIELD[field].shown(getattr(self, field))

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{s.field}={self.shown(s.field)!r}' for s in TABLE)})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # msgspec's own would show everything to whoever prints with rich.
        return [(s.field, self.shown(s.field)) for s in TABLE]


def _table() -> tuple[Setting, ...]:
    hints = get_type_hints(Settings, include_extras=True)
    defaults = {field.name: field.default for field in msgspec.structs.fields(Settings)}
    return tuple(
        Setting(name, hint.__metadata__[0], defaults[name]) for name, hint in hints.items()
    )


TABLE: Final = _table()
_BY_FIELD: Final = {setting.field: setting for setting in TABLE}


def read(environ: Mapping[str, str], only: Collection[str] = ()) -> Settings:
    """Raises SettingsError with every problem that there is, not only the first.

    With ``only``, a few fields, problems of the others are let be and those fields are not to be
    used: who migrates needs no signing secret.
    """
    values, problems = collect(TABLE, environ)
    problems += typos(TABLE, environ)
    settings = Settings(**values)
    told = {problem.variable for problem in problems}
    for field, sentence in settings_rules.broken(settings):
        env = _BY_FIELD[field].env
        # A value that could not even be read has its own problem already.
        if env.name not in told:
            problems.append(Problem(env.name, sentence, env.assignment))
    if only:
        names = {_BY_FIELD[field].env.name for field in only}
        problems = [problem for problem in problems if problem.variable in names]
    if problems:
        order = {setting.env.name: place for place, setting in enumerate(TABLE)}
        raise SettingsError(sorted(problems, key=lambda p: order.get(p.variable, len(order))))
    return settings
