"""Text messages that are not sent, or perhaps not: what is tried again, and what never."""

from __future__ import annotations

import contextlib

import pytest

from gtsd.clock import FixedClock
from gtsd.nudges.errors import SmsDelayed
from gtsd.nudges.jobs import send_nudges
from tests.api.conftest import Running, Start
from tests.api.nudges.conftest import Reached, run, set_to
from tests.support.database import log_lines
from tests.support.twilio_server import TwilioServer

DAY = "2026-11-18"


async def test_a_provider_that_wants_us_to_wait_is_asked_again(
    messages: Running, reached: Reached, twilio: TwilioServer, clock: FixedClock
) -> None:
    """What was surely not sent is tried by the next run; others are not held up by it."""
    ada, eve = await reached(), await reached()
    twilio.refusals[ada.user["phone"]] = (429, 20429)
    set_to(clock, f"{DAY}T06:15")
    with pytest.raises(SmsDelayed):
        await send_nudges(messages.deps)
    assert twilio.phones == [eve.user["phone"]]
    twilio.refusals.clear()
    await send_nudges(messages.deps)
    assert twilio.phones == sorted([ada.user["phone"], eve.user["phone"]])


async def test_a_provider_that_is_away_loses_nothing(
    messages: Running, reached: Reached, start: Start, twilio: TwilioServer, clock: FixedClock
) -> None:
    """Until half an hour has passed: then it is too late for this one."""
    await reached()
    away = await start(
        **{
            name: getattr(messages.deps.settings, name)
            for name in ("database_url", "twilio_account_sid", "twilio_auth_token", "sms_from")
        },
        twilio_api_url="http://127.0.0.1:9",
    )
    set_to(clock, f"{DAY}T06:15")
    with pytest.raises(SmsDelayed, match="reached"):
        await send_nudges(away.deps)
    set_to(clock, f"{DAY}T06:44")
    await send_nudges(messages.deps)
    assert len(twilio.forms) == 1
    set_to(clock, "2026-11-19T06:45")
    await send_nudges(messages.deps)
    assert len(twilio.forms) == 1


async def test_a_lost_answer_is_not_a_reason_to_repeat(
    messages: Running, reached: Reached, twilio: TwilioServer, clock: FixedClock
) -> None:
    """The message may be on its way."""
    ada = await reached()
    twilio.silent_for.add(ada.user["phone"])
    set_to(clock, f"{DAY}T06:15")
    await send_nudges(messages.deps)
    await send_nudges(messages.deps)
    assert len(twilio.forms) == 1
    counted = messages.deps.metrics.messages
    assert counted.labels("morning_nudge", "unknown")._value.get() == 1


async def test_a_number_that_is_wrong_is_tried_once_a_day(
    messages: Running, reached: Reached, twilio: TwilioServer, clock: FixedClock
) -> None:
    """And no number is in a log, whatever the provider says of it."""
    ada = await reached()
    twilio.refusals[ada.user["phone"]] = (400, 21211)
    asked: list[str] = []
    twilio.before = lambda form: asked.append(form["To"])
    set_to(clock, f"{DAY}T06:15")
    with log_lines() as lines:
        await send_nudges(messages.deps)
        await send_nudges(messages.deps)
    assert asked == [ada.user["phone"]]
    assert await run(messages, "SELECT outcome FROM nudges") == "refused"
    assert any("21211" in line for line in lines)
    assert ada.user["phone"] not in "".join(lines)


async def test_a_stop_that_only_the_provider_knows_is_learnt(
    messages: Running, reached: Reached, twilio: TwilioServer, clock: FixedClock
) -> None:
    """Its webhook may not have reached us."""
    ada = await reached(days=(DAY, "2026-11-19"))
    twilio.refusals[ada.user["phone"]] = (400, 21610)
    set_to(clock, f"{DAY}T06:15")
    await send_nudges(messages.deps)
    twilio.refusals.clear()
    set_to(clock, "2026-11-19T06:15")
    await send_nudges(messages.deps)
    assert twilio.forms == []
    assert await run(messages, "SELECT phone FROM sms_opt_outs") == ada.user["phone"]


@pytest.mark.parametrize(
    ("status", "code", "again"),
    [(503, 0, True), (401, 20003, True), (400, 21606, True), (500, 0, False)],
)
async def test_what_was_surely_not_sent_may_be_tried_again(
    messages: Running,
    reached: Reached,
    twilio: TwilioServer,
    clock: FixedClock,
    status: int,
    code: int,
    again: bool,
) -> None:
    """Overload, a wrong token and a wrong sender are; a fault in the middle is not."""
    ada = await reached()
    twilio.refusals[ada.user["phone"]] = (status, code)
    set_to(clock, f"{DAY}T06:15")
    with pytest.raises(SmsDelayed) if again else contextlib.nullcontext():
        await send_nudges(messages.deps)
    twilio.refusals.clear()
    await send_nudges(messages.deps)
    assert len(twilio.forms) == int(again)
