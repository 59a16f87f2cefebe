"""A log whose lines can be read, and the settings that telemetry looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from gtsd.settings import Settings
from gtsd.telemetry import log
from tests.support.environments import development
from tests.unit.telemetry.captured import Captured

DATABASE_PASSWORD = "correcthorsebattery"

MakeSettings = Callable[..., Settings]


@pytest.fixture
def make_settings() -> MakeSettings:
    """Settings from a few variables; the others have what a developer has."""

    def make(**variables: str) -> Settings:
        url = f"postgresql://gtsd:{DATABASE_PASSWORD}@127.0.0.1/gtsd"
        return development(**{"DATABASE_URL": url, **variables})

    return make


Capture = Callable[..., Captured]


@pytest.fixture
def capture(make_settings: MakeSettings) -> Iterator[Capture]:
    """Start a log with these variables set; ``make`` builds it in another way."""
    started: list[Captured] = []

    def start(make: Callable[[int], log.Log] | None = None, **variables: str) -> Captured:
        chosen = make_settings(**variables)
        captured = Captured(make or (lambda fd: log.configure(chosen, fd)))
        started.append(captured)
        return captured

    yield start
    for captured in started:
        captured.close()
