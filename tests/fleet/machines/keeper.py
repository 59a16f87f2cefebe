"""Takes a fleet down when the one that started it is gone, however it ended.

It reads from a pipe that only the other one can write to; the pipe's end is the other one's.
"""

from __future__ import annotations

import signal
import sys

from tests.fleet.machines import fleet

if __name__ == "__main__":
    # Whoever stops the tests by Ctrl-C stops this with them, and just then it is needed.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    fleet.down(sys.argv[1])
