"""What is deleted of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loguru import logger

from gtsd.stores.batches import in_batches
from gtsd.web.idempotency import FORGET

if TYPE_CHECKING:
    from gtsd.deps import Deps

_SECONDS: Final = 60.0


async def forget_answers(deps: Deps) -> None:
    """Delete the answers to Idempotency-Keys that are not replayed any more."""
    answers = await in_batches(deps.postgres, FORGET, _SECONDS, now=deps.clock.now())
    logger.bind(answers=answers).info("answers to Idempotency-Keys were forgotten")
