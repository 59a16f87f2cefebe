"""What a running process keeps in memory, asked for without a restart, and free until then."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gtsd.__main__ import run
from gtsd.memory import answers, as_text, catches
from gtsd.telemetry.memory import BEGUN, TOLD, MemoryWatch
from tests.support.process import Served, environment, serving


@pytest.fixture
def served(shared_database_url: str) -> Iterator[Served]:
    """A process of its own."""
    with serving(environment(shared_database_url)) as running:
        yield running


def test_two_signals_tell_where_memory_went(served: Served) -> None:
    """While it serves on; the places are of our own code, with their lines."""
    served.signal(signal.SIGUSR2)
    served.wait_for_line(BEGUN)
    for _ in range(20):
        assert served.get("/health").status == 200
    served.signal(signal.SIGUSR2)
    told = served.wait_for_line(TOLD)["memory"]
    assert 0 < told["held_kb"] <= told["most_kb"] < told["peak_rss_kb"]
    assert told["seconds"] > 0
    assert any("gtsd/" in place["at"] for place in told["places"]), told["places"]
    assert {"builtins.dict", "builtins.function"} & {kind["kind"] for kind in told["objects"]}
    text = as_text(answers([*map(_line, served.lines)])[-1])
    assert "kB at its peak" in text
    # And once more: the second signal ended it.
    served.signal(signal.SIGUSR2)
    served.wait_until(lambda: len(served.said(BEGUN)) == 2)
    served.signal()
    assert served.ended() == 0


def _line(fields: dict[str, object]) -> str:
    return json.dumps(fields)


def test_nothing_is_noted_until_somebody_asks(served: Served) -> None:
    """A process that was not asked has the signal's handler and no more; one without it is told."""
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    assert catches(status)
    assert not served.said(BEGUN)
    # This one has no handler: it would end.
    assert not catches(Path("/proc/self/status").read_text())


def test_a_watch_that_was_forgotten_ends_by_itself() -> None:
    """And nothing is noted before it, nor after it; each is seen here by the interpreter's word."""

    async def forget() -> list[bool]:
        watch = MemoryWatch(longest_s=0.05)
        watch.listen()
        seen = [tracemalloc.is_tracing()]
        try:
            os.kill(os.getpid(), signal.SIGUSR2)
            await _until(tracemalloc.is_tracing)
            seen.append(tracemalloc.is_tracing())
            await _until(lambda: not tracemalloc.is_tracing())
            seen.append(tracemalloc.is_tracing())
        finally:
            watch.close()
            signal.signal(signal.SIGUSR2, signal.SIG_DFL)
        return seen

    assert asyncio.run(forget()) == [False, True, False]


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def test_a_unit_that_does_not_run_is_told() -> None:
    """In one line; where there is no systemd at all, too."""
    out, errors = io.StringIO(), io.StringIO()
    status = run(["memory", "--unit", "gtsd-none@1", "--seconds", "0"], {}, out, errors)
    assert (status, out.getvalue(), errors.getvalue().count("\n")) == (1, "", 1)
