"""What a handler is given: the request, checked, and everything it may use."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gtsd.errors import Unauthenticated
from gtsd.web.routes import Route
from gtsd.web.tokens import Verified

if TYPE_CHECKING:
    from tornado.httputil import HTTPHeaders

    from gtsd.deps import Deps
    from gtsd.stores.cache import CacheRead

# The field of the cache that every request of a user reads.
ACCOUNT_FIELD: Final = "account"


class Account(msgspec.Struct, frozen=True, rename="camel"):
    """What every request needs to know of a user, and no more."""

    id: int
    timezone: str
    is_active: bool


@dataclass(slots=True)
class Request:
    """As it came: ``path`` and ``query`` undecoded, ``address`` as trusted proxies tell it."""

    id: str
    method: str
    path: str
    query: str
    headers: HTTPHeaders
    address: str
    body: bytes = b""


@dataclass(slots=True)
class Call:
    """One use of a route."""

    deps: Deps
    request: Request
    route: Route
    params: Mapping[str, int]
    token: Verified | None = None
    account: Account | None = None
    # Read together with the account: the fields that the route names as ``cached``.
    cached: CacheRead | None = None
    # Instances of route.body and route.query, where the route declares them.
    body: Any = None
    query: Any = None
    # Of the answer, whatever becomes of the call.
    headers: dict[str, str] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    @property
    def user(self) -> Account:
        """Whose token came with the request; the policy USER guarantees that there is one."""
        if self.account is None:
            raise Unauthenticated
        return self.account

    @property
    def today(self) -> date:
        """The calendar day where the user is."""
        return self.deps.clock.today(self.user.timezone)

    @property
    def token_id(self) -> str:
        """The claim ``jti`` of the access token."""
        if self.token is None:
            raise Unauthenticated
        return self.token.token_id
