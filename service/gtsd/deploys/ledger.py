"""What became of each release: records that are only added, and only by who holds the lease."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import psycopg2

from gtsd.deploys import history, lease, tables
from gtsd.deploys.chain import GENESIS, Record, seal
from gtsd.deploys.connection import Session
from gtsd.deploys.errors import BadUsage, Forbidden

_COLUMNS = "seq, at, event, version, previous, holder, token, details::text, previous_hash, hash"
_ALL = f"SELECT {_COLUMNS} FROM public.gtsd_deploys ORDER BY seq"  # noqa: S608 - our own words
_LAST_HASH = "SELECT hash FROM public.gtsd_deploys ORDER BY seq DESC LIMIT 1"
_COUNT = """
UPDATE public.gtsd_deploy_lease SET recorded = recorded + 1, heartbeat_at = %s RETURNING recorded
"""
_RECORDED = "SELECT recorded FROM public.gtsd_deploy_lease"
_INSERT = """
INSERT INTO public.gtsd_deploys
    (seq, at, event, version, previous, holder, token, details, previous_hash, hash)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s, %s)
"""


def record(
    session: Session,
    token: int,
    event: str,
    version: str,
    previous: str | None,
    details: Mapping[str, Any],
) -> Record:
    """Add a record, as the holder of the lease that the token is of.

    Raises Refused for a stale token, Forbidden where a bad release is started again, BadUsage for
    details that PostgreSQL cannot keep.
    """
    holder = lease.hold(session, token).holder
    if event == "started":
        _refuse_bad(session, version)
    kept = _as_kept(session, details)
    now = lease.clock(session)
    ((number,),) = session.rows(_COUNT, [now])
    last = session.rows(_LAST_HASH)
    before = last[0][0] if last else GENESIS
    made = seal(Record(number, now, event, version, previous, holder, token, kept, before, ""))
    session.run(_INSERT, [*made[:7], json.dumps(kept), *made[8:]])
    return made


def read(session: Session) -> list[Record]:
    """All of them, oldest first; none where there is no table yet."""
    if not tables.exist(session):
        return []
    found = (Record(*row) for row in session.rows(_ALL))
    return [each._replace(details=json.loads(str(each.details))) for each in found]


def recorded(session: Session) -> int:
    """The number that was given out last."""
    if not tables.exist(session):
        return 0
    ((number,),) = session.rows(_RECORDED)
    return int(number)


def _refuse_bad(session: Session, version: str) -> None:
    story = history.stories(read(session)).get(version)
    if story is not None and story.verdict is history.Verdict.BAD:
        raise Forbidden(
            f"{story.why_bad}, and stays bad: build a new one. Nothing was done",
            version=version,
            verdict=story.verdict,
        )


def _as_kept(session: Session, details: Mapping[str, Any]) -> dict[str, Any]:
    """As they will be read: jsonb writes some numbers in another way than they were given."""
    try:
        ((text,),) = session.rows("SELECT %s::jsonb::text", [json.dumps(details)])
    except psycopg2.DataError as error:
        raise BadUsage(
            "details: PostgreSQL cannot keep them, for example because of a NUL character or half"
            ' a surrogate pair: {"host": "app1"}. Nothing was done'
        ) from error
    kept: dict[str, Any] = json.loads(text)
    return kept
