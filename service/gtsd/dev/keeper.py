"""Runs one server, and ends it when the process that asked for it is gone.

Started by path as ``python -I -S keeper.py``, so it imports the standard library only. Standard
input brings one line of JSON, the order, and then stays open: its end means "stop", whether the
caller closed it or was killed. Standard output brings back one line: the server's process id, or
why it could not be started.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

# A terminal's Ctrl-C, or a service manager that signals every process, must not end the database
# before the API has answered what is in flight; the end of standard input will.
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Start, wait for the server's end or for ours, stop; the exit status is the server's."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    order: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    try:
        server = _start(order)
    except OSError as error:
        _report({"error": error.strerror, "errno": error.errno})
        return 1
    _report({"pid": server.pid})
    _wait_for_either_end(server)
    return _stop(server, order["stop_signal"], order["grace"])


def _start(order: dict[str, Any]) -> subprocess.Popen[bytes]:
    stop_signal = order["stop_signal"]
    library = ctypes.CDLL(None)
    keeper = os.getpid()

    def just_before_exec() -> None:
        # Ignored signals would stay ignored in the server.
        for number in _IGNORED:
            signal.signal(number, signal.SIG_DFL)
        # For the case that this keeper itself is killed. It has to come after the change of user,
        # which clears it; subprocess runs this hook last.
        library.prctl(_PR_SET_PDEATHSIG, stop_signal)
        if os.getppid() != keeper:
            os._exit(1)

    account: dict[str, Any] = {}
    if order["user"] is not None:
        account = {"user": order["user"], "group": order["group"], "extra_groups": []}
    with Path(order["log"]).open("ab") as log:
        return subprocess.Popen(
            order["command"],
            cwd=order["folder"],
            env=order["environment"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=just_before_exec,  # noqa: PLW1509 - this process has one thread
            **account,
        )


def _report(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _wait_for_either_end(server: subprocess.Popen[bytes]) -> None:
    ended = os.pidfd_open(server.pid)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(sys.stdin.fileno(), select.POLLIN | select.POLLHUP)
    poll.poll()
    os.close(ended)


def _stop(server: subprocess.Popen[bytes], stop_signal: int, grace: float) -> int:
    if server.poll() is None:
        server.send_signal(stop_signal)
        try:
            server.wait(grace)
        except subprocess.TimeoutExpired:
            server.kill()
    return server.wait()


if __name__ == "__main__":
    sys.exit(main())
