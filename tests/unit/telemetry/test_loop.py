"""A loop that stood still is seen by whoever scrapes it afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import pytest

from gtsd.telemetry import loop
from gtsd.telemetry.metrics import Metrics

BLOCKED_S = 0.4


@contextlib.asynccontextmanager
async def _watched(metrics: Metrics) -> AsyncIterator[None]:
    task = asyncio.create_task(loop.watch_loop(metrics, 0.01))
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


def _of(metrics: Metrics, name: str, **labels: str) -> float:
    value = metrics.registry.get_sample_value(name, labels)
    assert value is not None
    return value


def _worst(metrics: Metrics) -> float:
    return _of(metrics, "gtsd_event_loop_lag_max_seconds")


def _counted(metrics: Metrics) -> float:
    return _of(metrics, "gtsd_event_loop_lag_seconds_count")


async def test_a_blocked_loop_is_measured() -> None:
    """By as much as it was blocked; before that, the control, it was not."""
    metrics = Metrics()
    async with _watched(metrics):
        await _until(lambda: _counted(metrics) >= 5)
        assert _worst(metrics) < BLOCKED_S
        time.sleep(BLOCKED_S + 0.05)  # noqa: ASYNC251 - blocking is what is tested
        await _until(lambda: _worst(metrics) >= BLOCKED_S)
    assert _of(metrics, "gtsd_event_loop_lag_seconds_bucket", le="+Inf") > _of(
        metrics, "gtsd_event_loop_lag_seconds_bucket", le="0.1"
    )


async def test_the_worst_is_forgotten_after_its_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one bad moment would alarm for ever."""
    monkeypatch.setattr(loop, "WINDOW_S", 0.3)
    metrics = Metrics()
    async with _watched(metrics):
        await _until(lambda: _counted(metrics) >= 1)
        time.sleep(BLOCKED_S + 0.05)  # noqa: ASYNC251 - blocking is what is tested
        await _until(lambda: _worst(metrics) >= BLOCKED_S)
        await _until(lambda: _worst(metrics) < BLOCKED_S)
