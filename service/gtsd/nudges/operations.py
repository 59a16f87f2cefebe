"""Use cases of nudges: send those that are due, and do what an answer to one wants."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from loguru import logger

from gtsd.nudges import queries as q
from gtsd.nudges import words
from gtsd.nudges.errors import SmsDelayed, SmsNotSent, SmsOptedOut, SmsRefused
from gtsd.nudges.schedule import Due, due
from gtsd.nudges.words import Wish
from gtsd.telemetry.metrics import MessageOutcome

if TYPE_CHECKING:
    from gtsd.deps import Deps, SmsProvider

_PAGE: Final = 100
_AT_A_TIME: Final = 10
_PHONE: Final = re.compile(r"\+[1-9][0-9]{6,14}")


class _Nudge(NamedTuple):
    user_id: int
    phone: str
    tasks: int


async def send_due(deps: Deps) -> int:
    """Nudge everybody whose time it is; how many messages went out.

    A message is sent by whoever made its row, once: a process that is killed in between leaves
    rows without messages, never messages without rows. Raises SmsDelayed when the provider is away.
    """
    if deps.sms is None:
        return 0
    zones = [row[0] for row in await deps.postgres.rows(q.NUDGE_ZONES)]
    sent = 0
    for place in due(deps.clock.now(), zones):
        sent += await _zone(deps, deps.sms, place)
    return sent


async def _zone(deps: Deps, sms: SmsProvider, place: Due) -> int:
    sent, after = 0, 0
    while True:
        # Time goes on while messages are sent, so each page looks at the clock.
        now = deps.clock.now()
        here = [d for d in due(now, [place.timezone]) if d.kind == place.kind]
        if not here:
            return sent
        rows = await deps.postgres.rows(
            q.CLAIM_NUDGES,
            timezone=place.timezone,
            after=after,
            limit=_PAGE,
            kind=place.kind,
            day=here[0].day,
            now=now,
            local_at=here[0].local_at,
        )
        claimed = [_Nudge(*row[:3]) for row in rows if row[3]]
        sent += await _send(deps, sms, here[0], claimed)
        if len(rows) < _PAGE:
            return sent
        after = rows[-1][0]


async def _send(deps: Deps, sms: SmsProvider, place: Due, nudges: list[_Nudge]) -> int:
    room = asyncio.Semaphore(_AT_A_TIME)

    async def one(nudge: _Nudge) -> SmsNotSent | None:
        async with room:
            try:
                await sms.send(nudge.phone, words.nudge(place.kind, nudge.tasks))
            except SmsNotSent as error:
                return error
        return None

    ends = await asyncio.gather(*(one(nudge) for nudge in nudges))
    await _settle(deps, place, list(zip(nudges, ends, strict=True)))
    return ends.count(None)


async def _settle(deps: Deps, place: Due, ends: list[tuple[_Nudge, SmsNotSent | None]]) -> None:
    """Write down what became of a page; what is not known stays as it is, and is not repeated."""
    sent = [nudge.user_id for nudge, end in ends if end is None]
    refused = [nudge.user_id for nudge, end in ends if isinstance(end, SmsRefused)]
    delayed = [nudge.user_id for nudge, end in ends if isinstance(end, SmsDelayed)]
    stopped = [nudge.phone for nudge, end in ends if isinstance(end, SmsOptedOut)]
    where = {"day": place.day, "kind": place.kind}
    async with deps.postgres.transaction() as tx:
        if sent:
            await tx.execute(q.NOTE_NUDGES, users=sent, outcome="sent", **where)
        if refused:
            await tx.execute(q.NOTE_NUDGES, users=refused, outcome="refused", **where)
        if delayed:
            await tx.execute(q.RETURN_NUDGES, users=delayed, **where)
        if stopped:
            await tx.execute(q.OPT_OUT, phones=stopped)
    for _, end in ends:
        _count(deps, place, end)
    away = next((end for _, end in ends if isinstance(end, SmsDelayed)), None)
    if away is not None:
        raise away


def _count(deps: Deps, place: Due, end: SmsNotSent | None) -> None:
    outcome = MessageOutcome.UNKNOWN
    if end is None:
        outcome = MessageOutcome.SENT
    elif isinstance(end, SmsRefused):
        outcome = MessageOutcome.REFUSED
    elif isinstance(end, SmsDelayed):
        outcome = MessageOutcome.FAILED
    deps.metrics.messages.labels(f"{place.kind}_nudge", outcome).inc()
    if end is not None:
        logger.bind(nudge=place.kind).warning("a text message was not sent: {}", end)


async def receive(deps: Deps, phone: str, text: str) -> str:
    """Do what a message wants, any number of times; what to answer, "" for nothing.

    STOP counts for the phone, in whoever's account it is, and outlives the account.
    """
    wish = words.wish_of(text)
    # A short code or the name of a company cannot be a person's phone.
    if wish is None or not _PHONE.fullmatch(phone):
        return ""
    if wish is Wish.STOP:
        await deps.postgres.execute(q.OPT_OUT, phones=[phone])
    elif wish is Wish.START:
        await deps.postgres.execute(q.OPT_IN, phone=phone)
    return words.reply_to(wish)
