"""The API on the restored database: one instance that nobody reaches, and a person's minute."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gtsd.drill import messages
from gtsd.drill.errors import Cause, DrillError
from gtsd.drill.signals import undisturbed
from gtsd.smoke import Smoke, SmokeError

_START_S: Final = 60.0
_LOOK_S: Final = 0.05
_GRACE_S: Final = 15.0
# Where programs and the package are; nothing else of ours is the service's business.
_INHERITED: Final = ("PATH", "PYTHONPATH")


def smoke(database_url: str, log: Path, environ: Mapping[str, str]) -> int:
    """Start it, use it, end it; gives how many calls were answered. Raises DrillError."""
    with _serving(database_url, log, environ) as address:
        person = Smoke(f"http://{address}")
        try:
            asyncio.run(person.live(0.0, None))
        except SmokeError as error:
            raise _failed(str(error)) from error
        return len(person.seconds)


def _failed(why: str) -> DrillError:
    return DrillError(
        Cause.SERVICE, f"the API does not work on the restored database: {messages.short(why)}"
    )


def _environment(database_url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """No Redis, no object store, no mails, no text messages, no traces; a key for a minute."""
    return {
        **{name: environ[name] for name in _INHERITED if name in environ},
        "DATABASE_URL": database_url,
        "JWT_SECRET": secrets.token_urlsafe(48),
        "PORT": "0",
        "GTSD_DATABASE_POOL_SIZE": "4",
        "GTSD_DRAIN_DELAY": "0",
        "GTSD_LOG_FORMAT": "json",
        "LC_ALL": "C.UTF-8",
    }


@contextmanager
def _serving(database_url: str, log: Path, environ: Mapping[str, str]) -> Iterator[str]:
    process = None
    try:
        # A signal between its birth and its name would leave it behind.
        with undisturbed(), log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "gtsd", "serve"],
                env=_environment(database_url, environ),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        yield _address(process, log)
    finally:
        if process is not None:
            with undisturbed():
                _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where it listens, as its log says once it is ready."""
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        lines = log.read_text(errors="replace").splitlines()
        for line in lines:
            if '"ready"' in line and line.endswith("}"):
                return str(json.loads(line)["addresses"][0])
        time.sleep(_LOOK_S)
    said = log.read_text(errors="replace").splitlines()
    raise _failed(said[-1] if said else "it said nothing")
