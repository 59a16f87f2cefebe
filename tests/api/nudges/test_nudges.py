"""Text messages that remind: who gets them, when, how often, and what becomes of failures."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from gtsd.clock import FixedClock
from gtsd.nudges.jobs import forget_nudges, send_nudges
from tests.api.conftest import Running
from tests.api.nudges.conftest import Reached, run, set_to
from tests.support.twilio_server import TwilioServer

DAY = "2026-11-18"


async def test_a_nudge_says_how_many_tasks_there_are(
    messages: Running, reached: Reached, twilio: TwilioServer, clock: FixedClock
) -> None:
    """Morning and evening, from our number to the person's phone, and not valid for long."""
    ada = await reached()
    set_to(clock, f"{DAY}T06:15")
    await send_nudges(messages.deps)
    set_to(clock, f"{DAY}T21:00")
    await send_nudges(messages.deps)
    assert [form["Body"].partition(".")[0] for form in twilio.forms] == [
        "GTSD: 1 task is waiting for you today",
        "GTSD: 1 task is still open today",
    ]
    assert {form["To"] for form in twilio.forms} == {ada.user["phone"]}
    assert {form["From"] for form in twilio.forms} == {"+15005550006"}
    assert {form["ValidityPeriod"] for form in twilio.forms} == {"1800"}
    assert await run(messages, "SELECT count(*) FROM nudges WHERE outcome = 'sent'") == 2


async def test_who_wants_none_or_has_nothing_to_do_gets_none(
    messages: Running, reached: Reached, twilio: TwilioServer, clock: FixedClock
) -> None:
    """One is not opted in, one has no task today, one is done; the control gets a message."""
    await reached(opt_in=False)
    await reached(days=("2026-11-19",))
    done = await reached()
    task = (await done.get("/v1/tasks/today")).data["tasksByType"]["custom"][0]["id"]
    assert (await done.post(f"/v1/tasks/{task}/complete")).status == 200
    off = await reached()
    await run(
        messages,
        "UPDATE users SET is_active = false WHERE id = %(id)s RETURNING 1",
        id=off.user["id"],
    )
    control = await reached()
    set_to(clock, f"{DAY}T21:10")
    await send_nudges(messages.deps)
    assert twilio.phones == [control.user["phone"]]


@pytest.mark.parametrize(
    ("timezone", "day"),
    [
        ("America/Los_Angeles", "2026-03-08"),
        ("America/Los_Angeles", "2026-11-01"),
        ("Asia/Kolkata", "2026-11-01"),
        ("Pacific/Chatham", "2026-04-05"),
        ("Pacific/Chatham", "2026-09-27"),
    ],
)
async def test_a_day_on_which_clocks_change_has_two_nudges(
    messages: Running,
    reached: Reached,
    twilio: TwilioServer,
    clock: FixedClock,
    timezone: str,
    day: str,
) -> None:
    """Run every ten minutes of that day, the schema being asked each time."""
    set_to(clock, f"{day}T00:00", timezone)
    await reached(timezone, days=(day,))
    starts = clock.now()
    while clock.now() < starts + timedelta(hours=25):
        await send_nudges(messages.deps)
        clock.move(timedelta(minutes=10))
    assert len(twilio.forms) == 2
    clocks = await run(
        messages,
        "SELECT array_agg(local_at::text ORDER BY at) FROM nudges WHERE day = %(d)s",
        d=day,
    )
    assert [text[11:15] for text in clocks] == ["06:2", "21:0"]


async def test_runs_at_the_same_time_send_each_once(
    messages: Running, reached: Reached, twilio: TwilioServer, clock: FixedClock
) -> None:
    """Whichever makes the row sends."""
    people = [await reached() for _ in range(12)]
    set_to(clock, f"{DAY}T06:20")
    await asyncio.gather(*(send_nudges(messages.deps) for _ in range(5)))
    await send_nudges(messages.deps)
    assert twilio.phones == sorted(person.user["phone"] for person in people)


async def test_without_the_rows_each_run_would_send(
    messages: Running, reached: Reached, twilio: TwilioServer, clock: FixedClock
) -> None:
    """The control: the rows are what keeps a second run from it."""
    await reached()
    set_to(clock, f"{DAY}T06:20")
    await send_nudges(messages.deps)
    await run(messages, "WITH gone AS (DELETE FROM nudges RETURNING 1) SELECT 1")
    await send_nudges(messages.deps)
    assert len(twilio.forms) == 2


async def test_the_row_is_there_before_the_message(
    messages: Running, reached: Reached, twilio: TwilioServer, clock: FixedClock
) -> None:
    """A worker that is killed while it sends has used up the day: no second message."""
    await reached()
    set_to(clock, f"{DAY}T06:20")
    killed = asyncio.Event()
    twilio.before = lambda _: killed.set()
    sending = asyncio.create_task(send_nudges(messages.deps))
    async with asyncio.timeout(10):
        await killed.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert await run(messages, "SELECT count(*) FROM nudges WHERE outcome IS NULL") == 1
    await send_nudges(messages.deps)
    assert len(twilio.forms) == 1


async def test_a_move_to_another_zone_brings_no_second_one(
    messages: Running, reached: Reached, twilio: TwilioServer, clock: FixedClock
) -> None:
    """It is the same date in both places, and a date has one morning."""
    ada = await reached("Asia/Kolkata")
    set_to(clock, f"{DAY}T06:15", "Asia/Kolkata")
    await send_nudges(messages.deps)
    moved = "UPDATE users SET timezone = 'America/Los_Angeles' WHERE id = %(id)s RETURNING 1"
    assert await run(messages, moved, id=ada.user["id"]) == 1
    set_to(clock, f"{DAY}T06:15", "America/Los_Angeles")
    await send_nudges(messages.deps)
    assert len(twilio.forms) == 1


async def test_more_people_than_a_page_are_all_reached(
    messages: Running, reached: Reached, twilio: TwilioServer, clock: FixedClock
) -> None:
    """250 in one zone, a third of whom have nothing to do."""
    await reached()
    await run(
        messages,
        """
        WITH u AS (
            INSERT INTO users (email, password_hash, name, phone, sms_opt_in)
            SELECT 'n' || n || '@example.com', 'x', 'x', '+49302' || (1000000 + n), true
            FROM generate_series(1, 249) n RETURNING id
        ), t AS (
            INSERT INTO tasks (user_id, type, title, due_date)
            SELECT id, 'custom', 'x', '2026-11-18' FROM u WHERE id % 3 > 0
        )
        SELECT count(*) FROM u
        """,
    )
    set_to(clock, f"{DAY}T06:15")
    await send_nudges(messages.deps)
    wanted = await run(messages, "SELECT count(DISTINCT user_id) FROM tasks")
    assert len(twilio.phones) == len(set(twilio.phones)) == wanted > 150


async def test_nothing_is_sent_unless_it_is_configured(service: Running) -> None:
    """No statement is sent either."""
    assert service.deps.sms is None
    await send_nudges(service.deps)


async def test_old_rows_are_forgotten_and_new_ones_kept(
    messages: Running, reached: Reached, clock: FixedClock
) -> None:
    """After thirty days; what keeps a second message away is of the day itself."""
    await reached(days=(DAY, "2026-12-18"))
    for day in (DAY, "2026-12-18"):
        set_to(clock, f"{day}T06:20")
        await send_nudges(messages.deps)
    set_to(clock, "2026-12-18T06:25")
    await forget_nudges(messages.deps)
    kept = await run(messages, "SELECT array_agg(day::text) FROM nudges")
    assert kept == ["2026-12-18"]
