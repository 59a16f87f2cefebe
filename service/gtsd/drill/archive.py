"""Whether the archive has all WAL from the backup to its newest segment."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from gtsd.drill import segments
from gtsd.drill.errors import Cause, DrillError
from gtsd.drill.repository import Backup, Repository
from gtsd.drill.segments import Coverage, Segment, Unreachable

# Segments may be pushed side by side, so for a moment a later one is there before an earlier one.
_ON_THE_WAY: Final = timedelta(seconds=30)
_LOOK_S: Final = 2.0
_SHOWN: Final = 3


class Way(NamedTuple):
    """The newest segment that a restore reads, and when it came into the repository."""

    newest: Segment
    arrived: datetime


def way(repository: Repository, backup: Backup, size: int) -> Way:
    """Raises DrillError where a segment is missing before the newest one."""
    while True:
        files = repository.archived(backup)
        found = _coverage(repository, backup, files, size)
        if not found.missing:
            break
        if datetime.now(UTC) - max(files.values()) > _ON_THE_WAY:
            raise _missing(found, size)
        time.sleep(_LOOK_S)
    return Way(found.newest, _arrived(files, found.newest.name(size)))


def _coverage(
    repository: Repository, backup: Backup, files: Mapping[str, datetime], size: int
) -> Coverage:
    start = segments.segment(backup.start, size)
    newest = segments.newest_timeline(start.timeline, files)
    left = []
    if newest != start.timeline:
        left = segments.switches(repository.content(backup, segments.history_file(newest)))
    try:
        return segments.coverage(segments.kept(files, size), start, newest, left, size)
    except Unreachable as error:
        raise DrillError(
            Cause.WAL_MISSING, f"the newest WAL cannot be reached from {backup.label}: {error}"
        ) from None


def _missing(found: Coverage, size: int) -> DrillError:
    names, newest = found.missing, found.newest.name(size)
    which = ", ".join(names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return DrillError(
        Cause.WAL_MISSING,
        f"the archive lacks the WAL segment {which}{more}, and has later ones up to {newest}:"
        " nothing after the hole can be restored",
    )


def _arrived(files: Mapping[str, datetime], name: str) -> datetime:
    return max(time_ for path, time_ in files.items() if f"{name}-" in path)
