"""The copy of each record in the system's log, which ships it to where no owner of tables comes."""

from __future__ import annotations

import json
import socket
import syslog
from pathlib import Path

from gtsd.deploys.chain import Record

IDENT = "gtsd-ledger"
# Where the journal listens on every Debian.
SOCKET = Path("/dev/log")
_PRIORITY = syslog.LOG_USER | syslog.LOG_NOTICE
_TIMEOUT = 5.0


def send(record: Record, address: Path | None = None) -> None:
    """One line of JSON under the name gtsd-ledger; raises OSError where nobody takes it.

    Not by syslog.syslog(): that says nothing where there is no log.
    """
    line = json.dumps(record.as_json(), sort_keys=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.settimeout(_TIMEOUT)
        log.sendto(f"<{_PRIORITY}>{IDENT}: {line}".encode(), str(address or SOCKET))
