"""How the service puts work for later into the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gtsd.jobs import queries as q
from gtsd.telemetry import tracing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from gtsd.jobs.types import Job
    from gtsd.stores.postgres import Transaction


class JobQueue:
    """Adds jobs of a catalogue, within the transaction that needs them."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs = {job.name: job for job in jobs}

    async def defer(
        self,
        transaction: Transaction,
        name: str,
        arguments: Mapping[str, object],
        *,
        at: datetime | None = None,
        key: str | None = None,
    ) -> None:
        """See ``deps.Jobs``. Raises KeyError for a name that the catalogue does not have."""
        job = self._jobs[name]
        trace: dict[str, str] = {}
        tracing.inject(trace)
        # Apart from each other, so that no argument can be mistaken for what we add.
        args = {"arguments": arguments, "trace": trace}
        await transaction.execute(
            q.DEFER,
            queue=job.queue.value,
            name=name,
            priority=job.priority,
            key=key,
            args=msgspec.json.encode(args).decode(),
            at=at,
        )
