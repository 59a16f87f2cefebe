"""What became of a request is known at once where it failed: a gate may be asking just then."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from unittest.mock import AsyncMock, Mock

import pytest

from probe.exchange import Ask, Reply
from probe.figures import Figures
from probe.flight import Flights
from probe.folder import Folder, Working
from probe.mix import Planned


@pytest.mark.parametrize(("status", "told"), [(200, []), (500, [1])])
def test_only_a_failure_is_told_at_once(tmp_path: Path, status: int, told: list[int]) -> None:
    """And it is counted by then, so that who is told reads it."""
    figures, heard = Figures(), []
    working = Working(Folder(tmp_path))

    def failed() -> None:
        heard.append(figures.told(time.monotonic())["failed"])

    exchange = Mock(send=AsyncMock(return_value=Reply(status, {}, b"{}")))
    flights = Flights(exchange, working, figures, failed)
    planned = Planned("read", "/v1/tasks", Ask("GET", "/v1/tasks"), 200, lambda _: None)
    asyncio.run(flights.fly(planned, time.monotonic()))
    working.close()
    assert heard == told
