"""What a running process keeps in memory, told in its log when an operator asks by SIGUSR2.

The first signal begins to note where memory is asked for, the second tells what of that is still
held, and ends it. Until then nothing is noted, which costs nothing; who is not root on the host,
or the process itself, cannot send a signal. ``gtsd memory`` sends both.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import time
import tracemalloc
from collections import Counter
from typing import Any, Final

from loguru import logger

SIGNAL: Final = signal.SIGUSR2
BEGUN: Final = "memory is being watched"
TOLD: Final = "memory as it is held"
PLACES: Final = 25
KINDS: Final = 15
# Watching makes everything slower, so nobody may forget that it goes on.
LONGEST_S: Final = 900.0
_FRAMES: Final = 1
_KB: Final = 1024


class MemoryWatch:
    """Answers the signal for as long as the loop runs."""

    def __init__(self, longest_s: float = LONGEST_S) -> None:
        self._loop = asyncio.get_running_loop()
        self._longest_s = longest_s
        self._begun = 0.0
        self._end: asyncio.TimerHandle | None = None
        self._telling: asyncio.Task[None] | None = None

    def listen(self) -> None:
        """From now on the signal is ours; it would else end the process."""
        self._loop.add_signal_handler(SIGNAL, self._turn)

    def close(self) -> None:
        """Watch no longer, and leave the signal alone."""
        self._loop.remove_signal_handler(SIGNAL)
        # Its default would end the process while it stops.
        signal.signal(SIGNAL, signal.SIG_IGN)
        if self._end is not None:
            self._end.cancel()
        tracemalloc.stop()

    def _turn(self) -> None:
        if self._telling is not None and not self._telling.done():
            return
        if self._end is None:
            self._begin()
        else:
            self._telling = asyncio.ensure_future(self._tell())

    def _begin(self) -> None:
        self._begun = time.monotonic()
        tracemalloc.start(_FRAMES)
        self._end = self._loop.call_later(self._longest_s, self._turn)
        logger.bind(longest_s=self._longest_s).info(BEGUN)

    async def _tell(self) -> None:
        assert self._end is not None
        self._end.cancel()
        self._end = None
        # In a thread, so that requests go on between the parts that hold the interpreter.
        told = await asyncio.to_thread(_held)
        tracemalloc.stop()
        told["seconds"] = round(time.monotonic() - self._begun, 1)
        logger.bind(memory=told).info(TOLD)


def _held() -> dict[str, Any]:
    """The places that hold most of what was asked for meanwhile, and the commonest objects."""
    now, peak = tracemalloc.get_traced_memory()
    places = tracemalloc.take_snapshot().statistics("lineno")[:PLACES]
    kinds = Counter(type(thing) for thing in gc.get_objects()).most_common(KINDS)
    return {
        "peak_rss_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "held_kb": now // _KB,
        "most_kb": peak // _KB,
        "places": [
            {
                "kb": round(place.size / _KB, 1),
                "blocks": place.count,
                "at": f"{_short(place.traceback[0].filename)}:{place.traceback[0].lineno}",
            }
            for place in places
        ],
        "objects": [
            {"count": count, "kind": f"{kind.__module__}.{kind.__qualname__}"}
            for kind, count in kinds
        ],
    }


def _short(name: str) -> str:
    return "/".join(name.split("/")[-3:])
