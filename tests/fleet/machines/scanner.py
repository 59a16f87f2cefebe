"""Run beside a host, in its network: which ports of an address answer a TCP connection.

Prints {"22": "open", "80": "closed", "443": "filtered"}; needs nothing but Python.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable

_AT_ONCE = 800


async def _state(address: str, port: int, patience: float, room: asyncio.Semaphore) -> str:
    async with room:
        try:
            async with asyncio.timeout(patience):
                _, writer = await asyncio.open_connection(address, port)
        except (TimeoutError, PermissionError):
            return "filtered"
        except ConnectionRefusedError:
            return "closed"
        except OSError:
            # A firewall that answers says that the host or the network cannot be reached.
            return "filtered"
        writer.close()
        return "open"


async def scan(address: str, ports: Iterable[int], patience: float) -> dict[int, str]:
    """The state of each port."""
    room = asyncio.Semaphore(_AT_ONCE)
    wanted = list(ports)
    states = await asyncio.gather(*(_state(address, port, patience, room) for port in wanted))
    return dict(zip(wanted, states, strict=True))


def parse_ports(text: str) -> list[int]:
    """Out of `22,80,8441-8504`."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return found


if __name__ == "__main__":
    result = asyncio.run(scan(sys.argv[1], parse_ports(sys.argv[2]), float(sys.argv[3])))
    sys.stdout.write(json.dumps(result))
