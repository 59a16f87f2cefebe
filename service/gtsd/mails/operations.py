"""Use cases of mails: put one into the queue, and send it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from loguru import logger

from gtsd.mails.compose import Sender, compose
from gtsd.mails.errors import MailNotSent, RecipientRefused
from gtsd.telemetry.metrics import MessageOutcome

if TYPE_CHECKING:
    from gtsd.deps import Deps
    from gtsd.mails.types import Letter
    from gtsd.stores.postgres import Transaction


def new_id() -> str:
    """For a Message-ID; nobody can guess it."""
    return secrets.token_hex(16)


async def post(deps: Deps, tx: Transaction, letter: Letter) -> None:
    """Have it sent once the transaction is committed; while mails are off, nothing is done."""
    if deps.mails is not None:
        arguments = {"kind": letter.kind, "sealed": deps.seal.close(letter)}
        await deps.jobs.defer(tx, "send_mail", arguments)


async def deliver(deps: Deps, letter: Letter) -> None:
    """Word it and hand it over. Raises MailDelayed or MailRefused.

    An address that takes no mail is no failure: to try again would change nothing, and the fault
    is not ours. A mail whose link has ended is not sent.
    """
    now, told = deps.clock.now(), logger.bind(mail=letter.kind)
    if deps.mails is None or (letter.good_until is not None and now >= letter.good_until):
        told.warning("a mail was dropped: mails are off, or it came too late")
        _count(deps, letter, MessageOutcome.DROPPED)
        return
    sender = Sender(deps.settings.mail_from or "", deps.settings.public_url)
    try:
        await deps.mails.send(compose(letter, sender, now))
    except RecipientRefused as error:
        told.bind(reply=error.reply).warning("a mail was refused for good: {}", error)
        _count(deps, letter, MessageOutcome.REFUSED)
    except MailNotSent:
        _count(deps, letter, MessageOutcome.FAILED)
        raise
    else:
        _count(deps, letter, MessageOutcome.SENT)


def _count(deps: Deps, letter: Letter, outcome: MessageOutcome) -> None:
    deps.metrics.messages.labels(letter.kind, outcome).inc()
