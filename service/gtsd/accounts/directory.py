"""What every request needs to know of a user, from the cache where it can."""

from __future__ import annotations

import msgspec

from gtsd.accounts import queries as q
from gtsd.stores.cache import Cache, CacheRead
from gtsd.stores.postgres import Postgres
from gtsd.web.call import ACCOUNT_FIELD, Account

_NOBODY = b"null"


class CachedAccounts:
    """Forgotten by every change of the account, so a new time zone counts at once."""

    def __init__(self, postgres: Postgres, cache: Cache) -> None:
        self._postgres = postgres
        self._cache = cache
        self._decoder = msgspec.json.Decoder(Account | None)

    async def find(self, user_id: int, found: CacheRead | None = None) -> Account | None:
        """None where there is no such user."""

        async def load() -> bytes:
            row = await self._postgres.row(q.ACCOUNT, user_id=user_id)
            if row is None:
                return _NOBODY
            return msgspec.json.encode(Account(id=row[0], timezone=row[1], is_active=row[2]))

        account: Account | None = self._decoder.decode(
            await self._cache.fetch(user_id, ACCOUNT_FIELD, load, found=found)
        )
        return account
