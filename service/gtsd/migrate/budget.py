"""How long a run may wait for locks altogether, and how it spreads its tries."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

# Full jitter: anything between nothing and the doubled step, so that retries do not march in step
# with what they wait for, and queries that queued behind one try get through before the next.
_FIRST_STEP = 0.1
_LONGEST_STEP = 2.0


class Budget:
    """Seconds of waiting; work does not count, only tries that failed and the pauses after them."""

    def __init__(
        self,
        seconds: float,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.seconds = seconds
        self.left = seconds
        self._sleep = sleep
        self._draw = draw

    def pause(self, tries: int, wasted: float) -> float | None:
        """Pay for the failed try number ``tries`` (from 0) and wait; None when nothing is left."""
        self.left -= wasted
        if self.left <= 0:
            return None
        step = min(_LONGEST_STEP, _FIRST_STEP * 2.0 ** min(tries, 10))
        seconds = min(self.left, self._draw(0.0, step))
        self.left -= seconds
        self._sleep(seconds)
        return seconds
