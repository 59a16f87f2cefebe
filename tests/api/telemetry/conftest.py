"""A collector on loopback, and tracing that is off again after each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gtsd.telemetry import collector, tracing
from tests.api.telemetry.receiver import Receiver
from tests.support.environments import development


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    collector.configure(development())
    # As the end of a request's task would.
    tracing.server_span({}, "GET")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A collector that takes everything."""
    with Receiver() as running:
        yield running
