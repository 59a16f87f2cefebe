"""When somebody is nudged: at two times of the day on the person's own clock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

NudgeKind = Literal["morning", "evening"]
TIMES: Final[dict[NudgeKind, time]] = {"morning": time(6, 15), "evening": time(21, 0)}
# A nudge that would come later than this is not sent. With it the last one is done half an hour
# before the quiet hours, which begin at 22:00; the schema has their bounds.
LATEST: Final = timedelta(minutes=30)


class Due(NamedTuple):
    """Whoever lives in this zone is due for this kind; ``local_at`` is the clock there, now."""

    kind: NudgeKind
    timezone: str
    local_at: datetime

    @property
    def day(self) -> date:
        """The calendar day there."""
        return self.local_at.date()


def due(now: datetime, timezones: Iterable[str]) -> list[Due]:
    """The zones where it is time for a nudge at this instant; unknown ones are left out."""
    found = []
    for timezone in timezones:
        try:
            local = now.astimezone(ZoneInfo(timezone)).replace(tzinfo=None)
        except ZoneInfoNotFoundError:
            continue
        for kind, at in TIMES.items():
            if timedelta() <= local - datetime.combine(local.date(), at) < LATEST:
                found.append(Due(kind, timezone, local))
    return found
