"""What is passed down to every handler instead of globals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from email.message import EmailMessage

    from gtsd.clock import Clock
    from gtsd.mails.seal import Seal
    from gtsd.settings import Settings
    from gtsd.stores.cache import Cache, CacheRead
    from gtsd.stores.limits import Limits
    from gtsd.stores.postgres import Postgres, Transaction
    from gtsd.stores.redis import Redis
    from gtsd.stores.s3 import ObjectStore
    from gtsd.telemetry.metrics import Metrics
    from gtsd.web.call import Account
    from gtsd.web.tokens import AccessTokens


class Accounts(Protocol):
    """Finds what every request needs to know of a user."""

    async def find(self, user_id: int, found: CacheRead | None = None) -> Account | None:
        """None where there is no such user; ``found`` is what was read ahead of the cache."""
        ...


class Passwords(Protocol):
    """Hashes and checks passwords off the event loop."""

    async def hash(self, password: str) -> str:
        """A new hash with its parameters and salt inside."""
        ...

    async def matches(self, password: str, hashed: str | None) -> bool:
        """False for None, after the same work: the time tells nothing of whether a user exists."""
        ...

    def is_outdated(self, hashed: str) -> bool:
        """Whether the hash was made with weaker parameters than today's."""
        ...


class MailTransport(Protocol):
    """Takes finished mails to where they are delivered from."""

    async def send(self, message: EmailMessage) -> None:
        """Raises MailDelayed for what may be tried again, MailRefused for what may not."""
        ...


class SmsProvider(Protocol):
    """Sends text messages, and knows its own ones among those that come in."""

    async def send(self, phone: str, text: str) -> None:
        """Raises SmsRefused, SmsOptedOut, SmsDelayed; SmsUnknown where it may have been sent."""
        ...

    def is_genuine(self, signature: str, form: Mapping[str, str]) -> bool:
        """Whether a call of our webhook was made by the provider."""
        ...


class Jobs(Protocol):
    """Work for later, done by ``gtsd worker``."""

    async def defer(
        self,
        transaction: Transaction,
        name: str,
        arguments: Mapping[str, object],
        *,
        at: datetime | None = None,
        key: str | None = None,
    ) -> None:
        """Have a job of the catalogue done once the transaction is committed, not before ``at``.

        ``arguments`` become JSON and reach the job by name. While a job with the same ``key``
        waits, another one is not added.
        """
        ...


@dataclass(slots=True)
class Life:
    """Where the process is between its start and its end."""

    started: float
    ready: bool = False
    draining: bool = False
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class Deps:
    """Everything that handlers, operations and the web layer share."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    postgres: Postgres
    redis: Redis
    cache: Cache
    limits: Limits
    objects: ObjectStore
    tokens: AccessTokens
    accounts: Accounts
    passwords: Passwords
    jobs: Jobs
    seal: Seal
    # None where the settings name none.
    mails: MailTransport | None
    sms: SmsProvider | None
    life: Life = field(default_factory=lambda: Life(0.0))
