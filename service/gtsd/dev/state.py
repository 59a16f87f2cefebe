"""The folder where `gtsd dev` keeps everything, used by one process at a time."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gtsd.dev import host
from gtsd.dev.errors import DevError

# There from the first start on; by it we know the folder again as ours.
_LOCK: Final = "gtsd-dev.lock"


def state_folder(environ: Mapping[str, str]) -> Path:
    """Where it is: as GTSD_STATE_DIR says, else where this user's programs keep their data."""
    named = environ.get("GTSD_STATE_DIR")
    if named:
        return Path(named).expanduser().absolute()
    if os.geteuid() == 0:
        # Not in root's home, which the servers' account could not enter.
        return Path("/var/lib/gtsd-dev")
    state_home = environ.get("XDG_STATE_HOME")
    return (Path(state_home) if state_home else Path.home() / ".local" / "state") / "gtsd"


@contextmanager
def opened(folder: Path) -> Iterator[Path]:
    """Make the folder if need be and hold it; raises DevError when somebody else does."""
    host.make_folder(folder)
    lock = folder / _LOCK
    if not lock.exists() and any(folder.iterdir()):
        # As root we are about to change owners in there.
        raise DevError(
            f"The folder {folder} holds files of something else; "
            "name an empty or new one with GTSD_STATE_DIR."
        )
    with os.fdopen(os.open(lock, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DevError(
                f"`gtsd dev` already runs (process {file.read().strip()}) with the data in "
                f"{folder}; stop it, or name another folder with GTSD_STATE_DIR."
            ) from None
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        if os.geteuid() == 0:
            folder.chmod(0o711)
        yield folder


def signing_secret(folder: Path) -> str:
    """Made at the first call, so that tokens are good beyond a restart."""
    path = folder / "jwt-secret"
    if not path.exists():
        unfinished = path.with_name("jwt-secret.unfinished")
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
        unfinished.rename(path)
    return path.read_text()
