"""The worker beside the API of ``gtsd dev``; ends with it, however that ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from signal import SIGTERM
from typing import Final

from gtsd.dev import keeper
from gtsd.dev.errors import DevError

_GRACE_S: Final = 40.0


@contextmanager
def running(environ: Mapping[str, str], folder: Path) -> Iterator[None]:
    """Do jobs while the enclosed runs; what the worker says goes to ``worker.log``."""
    order = {
        "command": [sys.executable, "-m", "gtsd", "worker"],
        # Two services of a developer need not agree about a port that nobody asks for.
        "environment": {"GTSD_WORKER_PORT": "0", **environ},
        "folder": str(folder),
        "log": str(folder / "worker.log"),
        "user": None,
        "stop_signal": int(SIGTERM),
        "grace": _GRACE_S,
    }
    kept = subprocess.Popen(
        [sys.executable, "-I", "-S", keeper.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert kept.stdin is not None
    assert kept.stdout is not None
    kept.stdin.write(json.dumps(order).encode() + b"\n")
    kept.stdin.flush()
    answer = json.loads(kept.stdout.readline() or b'{"error": "its keeper ended"}')
    try:
        if "error" in answer:
            raise DevError(f"The worker of background jobs cannot be started: {answer['error']}.")
        yield
    finally:
        kept.stdin.close()
        kept.stdout.close()
        kept.wait(_GRACE_S + 10)
