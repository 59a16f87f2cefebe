"""How late the event loop is: the first thing to look at when everything is slow at once."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gtsd.telemetry.metrics import Metrics

WINDOW_S: Final = 60.0


async def watch_loop(metrics: Metrics, interval: float = 0.5) -> None:
    """Measure until cancelled: a histogram for trends, and the worst of the last minute.

    The worst is kept for a minute because nobody can scrape a loop while it is blocked, and
    because more than one server may scrape.
    """
    loop = asyncio.get_running_loop()
    recent: deque[tuple[float, float]] = deque()
    while True:
        due = loop.time() + interval
        await asyncio.sleep(interval)
        now = loop.time()
        lag = max(0.0, now - due)
        metrics.loop_lag.observe(lag)
        while recent and recent[0][0] < now - WINDOW_S:
            recent.popleft()
        recent.append((now, lag))
        metrics.loop_lag_max.set(max(worst for _, worst in recent))
