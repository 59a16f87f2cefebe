"""``gtsd serve`` as it would be without a drain: the control of its tests."""

from __future__ import annotations

import asyncio
import os
import sys

from gtsd import lifecycle
from gtsd.settings import read
from gtsd.systemd import Supervisor
from gtsd.web.server import Api


async def close_at_once(api: Api, supervisor: Supervisor) -> None:
    """What Tornado offers for a stop."""
    del supervisor
    api.stop_accepting()
    await api._server.close_all_connections()


if __name__ == "__main__":
    # setattr, because a type checker rightly wants a function to stay what it is.
    vars(lifecycle)["drain"] = close_at_once
    sys.exit(asyncio.run(lifecycle.serve(read(os.environ), Supervisor())))
