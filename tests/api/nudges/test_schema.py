"""What the schema guarantees of messages, whoever writes the row."""

from __future__ import annotations

from typing import Any

import pytest

from gtsd.stores.postgres import ConstraintViolated
from tests.api.conftest import Running
from tests.api.nudges.conftest import run
from tests.support.client import Client

_ADD = """
    INSERT INTO nudges (user_id, kind, at, local_at)
    VALUES (%(user_id)s, %(kind)s, %(at)s, %(local_at)s) RETURNING day::text
"""


async def add(service: Running, user: Client, local_at: str, **fields: Any) -> str:
    """A row as a careless program would write it; its day."""
    given = {"kind": "morning", "at": f"{local_at}Z", **fields}
    day: str = await run(service, _ADD, user_id=user.user["id"], local_at=local_at, **given)
    return day


@pytest.mark.parametrize("local", ["22:00", "23:59:59", "00:00", "03:30", "05:59:59.999"])
async def test_no_row_can_be_of_the_quiet_hours(service: Running, ada: Client, local: str) -> None:
    """The control is the test after this."""
    with pytest.raises(ConstraintViolated) as caught:
        await add(service, ada, f"2026-11-18T{local}")
    assert caught.value.constraint == "nudges_not_in_quiet_hours"


@pytest.mark.parametrize("local", ["06:00", "06:15", "12:00", "21:59:59"])
async def test_rows_of_the_day_are_taken(service: Running, ada: Client, local: str) -> None:
    """The bounds are those of the contract."""
    assert await add(service, ada, f"2026-11-18T{local}") == "2026-11-18"


async def test_there_is_one_of_a_kind_on_a_day(service: Running, ada: Client) -> None:
    """The day is the date of the local clock, which nobody can write differently."""
    await add(service, ada, "2026-11-18T06:15")
    with pytest.raises(ConstraintViolated) as caught:
        await add(service, ada, "2026-11-18T21:59")
    assert caught.value.constraint == "nudges_pkey"
    assert await add(service, ada, "2026-11-18T21:00", kind="evening") == "2026-11-18"
    assert await add(service, ada, "2026-11-19T06:15") == "2026-11-19"


@pytest.mark.parametrize("at", ["2026-11-17T15:00Z", "2026-11-18T19:00Z"])
async def test_a_local_clock_is_one_of_this_earth(service: Running, ada: Client, at: str) -> None:
    """At most 14 hours ahead of UTC, 12 behind: a lie about it is bounded."""
    with pytest.raises(ConstraintViolated) as caught:
        await add(service, ada, "2026-11-18T06:15", at=at)
    assert caught.value.constraint == "nudges_local_at_is_of_a_zone"
