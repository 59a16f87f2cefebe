"""What is counted of all requests, and of those of the last seconds."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any, Final

RECENT_S: Final = 10
# Steps of 2 %: finer than two runs of the same release differ.
_STEP: Final = math.log(1.02)
_LEAST_S: Final = 1e-5


class Histogram:
    """Durations by size. What is asked of it is right within 1 %."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[round(math.log(max(seconds, _LEAST_S)) / _STEP)] += 1

    def percentiles(self, *shares: float, also: Iterable[Histogram] = ()) -> list[float | None]:
        """For each share (0.99) the seconds that so many did not exceed; None without any."""
        counts = sum((other.counts for other in also), self.counts.copy())
        total = counts.total()
        if not total:
            return [None for _ in shares]
        found, passed, steps = [], 0, sorted(counts.items())
        wanted = iter(math.ceil(share * total) for share in sorted(shares))
        need = next(wanted, None)
        for step, count in steps:
            passed += count
            while need is not None and passed >= need:
                found.append(math.exp(step * _STEP))
                need = next(wanted, None)
        return [round(value, 5) for value in found]


class Figures:
    """Totals since the start; durations leave out the requests that are slow on purpose."""

    def __init__(self) -> None:
        self.requests = 0
        self.failed = 0
        self.written = 0
        self.by_reason: Counter[str] = Counter()
        self.by_kind: Counter[str] = Counter()
        self.by_protocol: Counter[str] = Counter()
        self._all = Histogram()
        self._seconds: deque[tuple[int, Histogram, Counter[str]]] = deque(maxlen=RECENT_S + 1)

    def add(self, row: dict[str, Any], now: float) -> None:
        """Count a row of the history; ``now`` is a time in seconds that only ever grows."""
        self.requests += 1
        self.by_kind[row["kind"]] += 1
        self.by_protocol[f"{row['protocol']} {row['connection']}"] += 1
        if not self._seconds or self._seconds[-1][0] != int(now):
            self._seconds.append((int(now), Histogram(), Counter()))
        _, histogram, counts = self._seconds[-1]
        counts["requests"] += 1
        if row["reason"] is not None:
            self.failed += 1
            self.by_reason[row["reason"]] += 1
            counts["failed"] += 1
        elif row["write"]:
            self.written += 1
        if not row["slow"]:
            self._all.add(row["seconds"])
            histogram.add(row["seconds"])

    def told(self, now: float) -> dict[str, Any]:
        """All of it, as state.json has it; durations in seconds."""
        recent = [second for second in self._seconds if second[0] > now - RECENT_S - 1]
        counts = sum((counts for _, _, counts in recent), Counter())
        last = Histogram().percentiles(0.5, 0.95, 0.99, also=[h for _, h, _ in recent])
        names = ("p50", "p95", "p99")
        return {
            "requests": self.requests,
            "failed": self.failed,
            "written": self.written,
            "by_reason": dict(self.by_reason),
            "by_kind": dict(self.by_kind),
            "by_protocol": dict(self.by_protocol),
            "all": dict(zip(names, self._all.percentiles(0.5, 0.95, 0.99), strict=True)),
            "recent": {
                "seconds": RECENT_S,
                "requests": counts["requests"],
                "failed": counts["failed"],
                **dict(zip(names, last, strict=True)),
            },
        }
