"""Jobs of nudges."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from loguru import logger

from gtsd.nudges import operations
from gtsd.nudges import queries as q
from gtsd.stores.batches import in_batches

if TYPE_CHECKING:
    from gtsd.deps import Deps


_KEPT: Final = timedelta(days=30)
_SECONDS: Final = 60.0


async def send_nudges(deps: Deps) -> None:
    """Send the text messages that are due now; to be run every few minutes.

    Run twice or at the same time it sends each once. One that was missed for half an hour is not
    made up for.
    """
    sent = await operations.send_due(deps)
    if sent:
        logger.bind(messages=sent).info("nudges were sent")


async def forget_nudges(deps: Deps) -> None:
    """Delete what is known of messages that went out long ago."""
    before = deps.clock.now() - _KEPT
    rows = await in_batches(deps.postgres, q.DELETE_OLD_NUDGES, _SECONDS, before=before)
    logger.bind(nudges=rows).info("old nudges were forgotten")
