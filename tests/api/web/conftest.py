"""Connections by hand that end with their test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.api.conftest import Running
from tests.api.web.wires import Wire, connected

Dial = Callable[[Running], Awaitable[Wire]]


@pytest.fixture
async def dial() -> AsyncIterator[Dial]:
    """Opens connections to an instance."""
    wires: list[Wire] = []

    async def open_one(service: Running) -> Wire:
        wires.append(await connected(service))
        return wires[-1]

    yield open_one
    for wire in wires:
        await wire.close()
