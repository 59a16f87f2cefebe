"""The service runs without a Redis, when none is configured."""

from __future__ import annotations

import pytest

from gtsd.stores.redis import RedisAway
from gtsd.telemetry.metrics import Metrics
from tests.support.redis import logged, opened


async def test_without_a_url_it_is_never_there_and_says_nothing() -> None:
    """That is a choice, not a fault: no warning, and no probe that would find out."""
    metrics = Metrics()
    with logged() as lines:
        async with opened(None, metrics) as store:
            assert not store.configured
            assert not store.available
            assert not await store.ping(1)
            assert store.generation == 0
            with pytest.raises(RedisAway, match="not configured"):
                await store.run(("PING",))
    assert lines == []
    assert metrics.registry.get_sample_value("gtsd_redis_up") == 0
