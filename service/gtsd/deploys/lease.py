"""Who may change the fleet at the moment: one row, by the database's clock alone.

A lease ends by itself, so that a holder that died stands in nobody's way for long. Who only seemed
dead still has its token, and finds it stale as soon as somebody else has got a newer one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil
from typing import NamedTuple

from gtsd.deploys import tables
from gtsd.deploys.chain import iso
from gtsd.deploys.connection import Session
from gtsd.deploys.errors import Refused

_SELECT = """
SELECT token, holder, purpose, acquired_at, heartbeat_at, expires_at, released_at
FROM public.gtsd_deploy_lease
"""
_LOCK = _SELECT + "FOR UPDATE"
_TAKE = """
UPDATE public.gtsd_deploy_lease
SET token = token + 1, holder = %s, purpose = %s, acquired_at = %s, heartbeat_at = %s,
    expires_at = %s, released_at = NULL
"""
_RENEW = "UPDATE public.gtsd_deploy_lease SET heartbeat_at = %s, expires_at = %s"
_RELEASE = "UPDATE public.gtsd_deploy_lease SET released_at = %s"


class Lease(NamedTuple):
    """The newest lease; ``holder`` is who, and after a space what for. Times are aware."""

    token: int
    holder: str
    purpose: str
    acquired_at: datetime
    heartbeat_at: datetime
    expires_at: datetime
    released_at: datetime | None

    @property
    def who(self) -> str:
        return self.holder.partition(" ")[0]

    @property
    def what(self) -> str:
        return self.holder.partition(" ")[2].strip() or self.purpose

    def free(self, now: datetime) -> bool:
        """Whether the next one may have it."""
        return self.released_at is not None or now >= self.expires_at

    def state(self, now: datetime) -> str:
        """``free`` before the first and after a release, else ``held`` or ``expired``."""
        if self.released_at is not None:
            return "free"
        return "expired" if self.free(now) else "held"


class Acquired(NamedTuple):
    """``taken_over`` is the lease that had expired without a release, if that is how it went."""

    lease: Lease
    taken_over: Lease | None


def acquire(session: Session, holder: str, purpose: str, ttl: float) -> Acquired:
    """The lease for ``ttl`` seconds; raises Refused, which names who has it."""
    tables.prepare(session)
    before = lock(session)
    now = clock(session)
    if not before.free(now):
        raise Refused(held(before, now), held_by=before.holder, expires_at=iso(before.expires_at))
    session.run(_TAKE, [holder, purpose, now, now, now + timedelta(seconds=ttl)])
    return Acquired(lock(session), before if before.released_at is None else None)


def renew(session: Session, token: int, ttl: float) -> Lease:
    """Another ``ttl`` seconds from now, also late as long as nobody else came; raises Refused."""
    hold(session, token)
    now = clock(session)
    session.run(_RENEW, [now, now + timedelta(seconds=ttl)])
    return lock(session)


def release(session: Session, token: int) -> Lease:
    """Free for the next one; a second time changes nothing. Raises Refused for a stale token."""
    _refuse_unknown(session, token)
    found = lock(session)
    if found.token != token:
        raise Refused(stale(found, token))
    if found.released_at is None:
        session.run(_RELEASE, [clock(session)])
    return lock(session)


def hold(session: Session, token: int) -> Lease:
    """Keep the lease as it is until the transaction ends; raises Refused unless it is the token's.

    What is written in the same transaction is fenced: a newer token cannot be given out before.
    """
    _refuse_unknown(session, token)
    found = lock(session)
    refuse_stale(found, token)
    return found


def refuse_stale(found: Lease, token: int) -> None:
    """Raises Refused unless the token is the newest and was not given back."""
    if found.token != token or found.released_at is not None:
        raise Refused(stale(found, token))


def look(session: Session) -> tuple[Lease | None, datetime]:
    """The newest lease, None where there never was one, and what time it is."""
    if not tables.exist(session):
        return None, clock(session)
    lease = Lease(*session.rows(_SELECT)[0])
    return (lease if lease.token else None), clock(session)


def lock(session: Session) -> Lease:
    """The row, which others cannot lock or change before the transaction ends."""
    return Lease(*session.rows(_LOCK)[0])


def clock(session: Session) -> datetime:
    """The database's, at this moment: now() is when the transaction began, before it waited."""
    ((now,),) = session.rows("SELECT clock_timestamp()")
    assert isinstance(now, datetime)
    return now


def held(lease: Lease, now: datetime) -> str:
    """Why somebody cannot have it, for people."""
    since, beat = (
        int((now - at).total_seconds()) for at in (lease.acquired_at, lease.heartbeat_at)
    )
    left = ceil((lease.expires_at - now).total_seconds())
    return (
        f"{lease.who} has held it for {since} s to {lease.what} (last sign of life {beat} s ago;"
        f" it is free in {left} s at the latest). Nothing was done"
    )


def stale(lease: Lease, token: int) -> str:
    """Why a token is not good any more, or never was."""
    if token > lease.token:
        return f"lease {token} was never given out: the newest is {lease.token}. Nothing was done"
    if token == lease.token and lease.released_at is not None:
        return f"lease {token} was released at {iso(lease.released_at)}. Nothing was done"
    return (
        f"lease {token} is stale: {lease.who} took {lease.token} at {iso(lease.acquired_at)}"
        f" to {lease.what}. Nothing was done"
    )


def _refuse_unknown(session: Session, token: int) -> None:
    if not tables.exist(session):
        raise Refused(f"lease {token} was never given out: there was none yet. Nothing was done")
