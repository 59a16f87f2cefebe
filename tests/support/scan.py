"""Which TCP ports of an address answer. Runs anywhere by itself: scan.py ADDRESS PORTS [SECONDS].

A port answers when it takes the connection or refuses it with a reset: then no firewall is in
between. Silence and "not permitted" mean that one is.
"""

from __future__ import annotations

import errno
import json
import resource
import selectors
import socket
import sys
import time
from collections.abc import Sequence

AT_ONCE = 4000
ANSWERS = (0, errno.ECONNREFUSED)


def _begin(address: str, port: int) -> tuple[socket.socket, int]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    line = socket.socket(family, socket.SOCK_STREAM)
    line.settimeout(0)
    return line, line.connect_ex((address, port))


def _answering_at_once(address: str, ports: Sequence[int], patience: float) -> set[int]:
    """As answering, for as many ports as there may be sockets."""
    found: set[int] = set()
    with selectors.DefaultSelector() as waiting:
        lines = []
        for port in ports:
            line, code = _begin(address, port)
            lines.append(line)
            if code == errno.EINPROGRESS:
                waiting.register(line, selectors.EVENT_WRITE, (port, line))
            elif code in ANSWERS:
                found.add(port)
        # Counted from the last knock, so that a slow start takes nobody's time away.
        end = time.monotonic() + patience
        while waiting.get_map() and (left := end - time.monotonic()) > 0:
            for key, _ in waiting.select(left):
                waiting.unregister(key.fileobj)
                port, line = key.data
                if line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in ANSWERS:
                    found.add(port)
        for line in lines:
            line.close()
    return found


def answering(address: str, ports: Sequence[int], patience: float) -> list[int]:
    """Those of the ports that answer within so many seconds."""
    found: set[int] = set()
    for start in range(0, len(ports), AT_ONCE):
        found |= _answering_at_once(address, ports[start : start + AT_ONCE], patience)
    return sorted(found)


def read_ports(text: str) -> list[int]:
    """The numbers in 22,80,8441-8504."""
    spans = (part.partition("-") for part in text.split(","))
    return sorted(
        {p for first, _, last in spans for p in range(int(first), int(last or first) + 1)}
    )


def main() -> None:
    """Scan, and print the ports that answer."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    patience = float(sys.argv[3]) if len(sys.argv) > 3 else 2.0
    found = answering(sys.argv[1], read_ports(sys.argv[2]), patience)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
