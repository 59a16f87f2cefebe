"""Jobs of accounts: what is deleted when nobody can use it any more, and what a request leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loguru import logger

from gtsd.accounts import mailed_queries, mailed_tokens
from gtsd.accounts import queries as q
from gtsd.stores.batches import in_batches

if TYPE_CHECKING:
    from gtsd.deps import Deps

# Of each kind; what is left then is found the next time.
_SECONDS: Final = 60.0


async def prepare_reset(deps: Deps, *, sealed: str) -> None:
    """Find out whether a forgotten password is somebody's, and post the mail; run again, once."""
    await mailed_tokens.prepare_reset(deps, deps.seal.open(sealed, mailed_tokens.Wish))


async def clean_up(deps: Deps) -> None:
    """Delete refresh tokens that have expired, sessions that have none left, and mailed tokens.

    A spent token is kept until it expires: until then its use tells that somebody copied it.
    """
    now = deps.clock.now()
    tokens = await in_batches(deps.postgres, q.DELETE_EXPIRED_REFRESH, _SECONDS, now=now)
    mailed = await in_batches(
        deps.postgres, mailed_queries.DELETE_EXPIRED_MAILED, _SECONDS, now=now
    )
    logger.bind(refresh_tokens=tokens, account_tokens=mailed).info("accounts were cleaned up")
