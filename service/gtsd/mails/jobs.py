"""Jobs of mails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gtsd.mails import operations
from gtsd.mails.types import Letter

if TYPE_CHECKING:
    from gtsd.deps import Deps


async def send_mail(deps: Deps, *, kind: str, sealed: str) -> None:
    """Send one letter; ``kind`` is for people who look at the queue.

    Run again after a crash it may send the mail again, under the same Message-ID: SMTP has no way
    to ask whether a server took one.
    """
    del kind
    await operations.deliver(deps, deps.seal.open(sealed, Letter))
