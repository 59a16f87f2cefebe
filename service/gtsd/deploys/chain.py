"""The chain of hashes that shows whether the ledger is still what was written.

The hash of a record is the SHA-256, in hexadecimal, of the UTF-8 bytes of this JSON array, written
without spaces, with sorted keys and all but ASCII escaped::

    [seq, at, event, version, previous, holder, token, details, previous_hash]

``at`` is ISO 8601 in UTC with six digits of seconds (``2026-11-28T13:41:00.000000+00:00``),
``previous`` may be null, ``previous_hash`` is the hash of the record before, for the first one 64
zeros. From a line in the logs (the order of its keys does not matter) it is made so::

    jq -cSaj '[.seq,.at,.event,.version,.previous,.holder,.token,.details,.previous_hash]' |
        sha256sum

A trigger refuses changes, but the tables' owner can drop a trigger, and then compute all hashes
anew. Hence the copy of each record in the logs: the newest hash there must be the newest one here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

GENESIS = "0" * 64


class Record(NamedTuple):
    """One thing that happened; ``details`` is a JSON object."""

    seq: int
    at: datetime
    event: str
    version: str
    previous: str | None
    holder: str
    token: int
    details: dict[str, Any]
    previous_hash: str
    hash: str

    def as_json(self) -> dict[str, Any]:
        """What goes to programs and into the logs: enough to compute the hash again."""
        return {**self._asdict(), "at": iso(self.at)}


def iso(at: datetime) -> str:
    """In UTC, to the microsecond."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def seal(record: Record) -> Record:
    """With the hash that belongs to it."""
    return record._replace(hash=digest(record))


def digest(record: Record) -> str:
    """What the hash has to be."""
    fields = [*record[:-1]]
    fields[1] = iso(record.at)
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def first_break(records: Sequence[Record], recorded: int) -> str | None:
    """A sentence on the first record that is not as it was written; None when all are.

    ``records`` are all of them by their number, ``recorded`` is the number that was given out last.
    """
    last, last_hash = 0, GENESIS
    highest = max(recorded, records[-1].seq if records else 0)
    for record in records:
        if record.seq != last + 1:
            return _missing(last + 1, record.seq - 1)
        fault = _fault(record, last_hash, highest)
        if fault is not None:
            return fault
        last, last_hash = record.seq, record.hash
    if last < recorded:
        return _missing(last + 1, recorded)
    if last > recorded:
        return f"record {recorded + 1} was added by other means than `gtsd deploys record`"
    return None


def _fault(record: Record, hash_before: str, highest: int) -> str | None:
    if record.hash != digest(record):
        place = _own_place(record, highest)
        if place is not None:
            return f"record {record.seq} is out of order: it was written as record {place}"
        return f"record {record.seq} was changed: its content does not have its hash"
    if record.previous_hash != hash_before:
        return (
            f"record {record.seq} does not follow the record before it: that one was changed,"
            " and its hash computed anew"
        )
    return None


def _missing(first: int, last: int) -> str:
    return f"record {first} is missing" + (f", and all up to {last}" if last > first else "")


def _own_place(record: Record, last: int) -> int | None:
    """The number with which the hash would be right."""
    numbers = range(1, last + 1)
    return next((n for n in numbers if digest(record._replace(seq=n)) == record.hash), None)
