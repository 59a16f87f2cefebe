"""What the ledger says of each release; pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from gtsd.deploys.chain import Record, iso

# What can happen. The release that an event is about is its version; what ran before it, or runs
# again after a return, is its previous one.
EVENTS = {
    "started": "the release or rollback to it began",
    "migrated": "its expand migrations are applied",
    "contracted": "its contract migrations are applied",
    "switched": "a host runs it; the details name the host",
    "succeeded": "it serves everywhere and was verified",
    "reverted": "a gate failed, and every host went back from it to the previous one: it is bad",
    "rolled_back": "a rollback to it from the previous one was verified",
    "failed": "it ended before it served everywhere",
    "marked_bad": "somebody says that it is bad",
}
_SERVES = {"succeeded", "rolled_back"}
_CONDEMNS = {"reverted", "marked_bad"}


class Verdict(StrEnum):
    """Bad is for ever: the same version never becomes good again."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"
    NEVER_RELEASED = "never released"


class Story(NamedTuple):
    """Of one release; the numbers are those of records."""

    version: str
    first_served: int | None = None
    last_served: int | None = None
    released_at: datetime | None = None
    bad_since: datetime | None = None
    why_bad: str | None = None
    last_event: str | None = None

    @property
    def verdict(self) -> Verdict:
        if self.bad_since is not None:
            return Verdict.BAD
        if self.first_served is not None:
            return Verdict.GOOD
        return Verdict.NEVER_RELEASED if self.last_event is None else Verdict.UNKNOWN


def stories(records: Iterable[Record]) -> dict[str, Story]:
    """By version, in the order in which they first appear."""
    found: dict[str, Story] = {}
    for record in records:
        known = found.get(record.version, Story(record.version))._replace(last_event=record.event)
        if record.event in _SERVES:
            known = known._replace(
                first_served=known.first_served or record.seq,
                last_served=record.seq,
                released_at=known.released_at or record.at,
            )
        if record.event in _CONDEMNS and known.bad_since is None:
            known = known._replace(bad_since=record.at, why_bad=_why(record))
        found[record.version] = known
    return found


def serving(records: Iterable[Record]) -> str | None:
    """The release that all hosts ran when the last release, rollback or return ended."""
    current = None
    for record in records:
        if record.event in _SERVES:
            current = record.version
        elif record.event == "reverted" and record.previous is not None:
            current = record.previous
    return current


def _why(record: Record) -> str:
    done = "was taken back" if record.event == "reverted" else "was marked bad"
    reason = record.details.get("reason")
    told = f" ({reason})" if isinstance(reason, str) and reason else ""
    return f"{record.version} {done} at {iso(record.at)} by {record.holder.partition(' ')[0]}{told}"
