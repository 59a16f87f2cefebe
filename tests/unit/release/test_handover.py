"""Which signals a process may be sent without ending it."""

from __future__ import annotations

import signal
import subprocess
import sys

from roles.gtsd.library.gtsd_handover import catches

_PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGUSR1, lambda *_: None)
print(flush=True)
time.sleep(60)
"""


def test_a_process_with_a_handler_is_told_from_one_without() -> None:
    """As releases that know the signal are from those that would end by it."""
    with subprocess.Popen([sys.executable, "-c", _PROGRAM], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            process.stdout.readline()
            pid = str(process.pid)
            assert catches(pid, signal.SIGUSR1)
            assert not catches(pid, signal.SIGUSR2)
        finally:
            process.kill()
    assert not catches(pid, signal.SIGUSR1)
    assert not catches("0", signal.SIGUSR1)
