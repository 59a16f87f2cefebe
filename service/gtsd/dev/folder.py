"""The folder of one embedded server: its data, its secrets, its log, and who may use it."""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from pathlib import Path
from typing import Final

from gtsd.dev import host
from gtsd.dev.errors import DevError

# Time for the servers of a killed process to come down before the folder counts as in use.
_LOCK_SECONDS: Final = 15.0


class ServerFolder:
    """Ours, while ``data`` in it is the server's account's; without an account all is ours."""

    def __init__(self, path: Path, label: str, account: host.Account | None) -> None:
        self.path = path
        self.data = path / "data"
        self.log = path / "server.log"
        self._label = label
        self._account = account

    def open(self) -> int:
        """Make it, wait until no other process uses it; returns the descriptor of the lock.

        Raises DevError. The folder is free again when every copy of the descriptor is closed.
        """
        host.make_folder(self.path)
        if self._account is not None:
            self._let_in(self._account)
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = time.monotonic() + _LOCK_SECONDS
        while not _locked(lock):
            if time.monotonic() > until:
                os.close(lock)
                raise DevError(
                    f"Another process already runs {self._label} in {self.path}; stop it, or "
                    "name another folder with GTSD_STATE_DIR."
                )
            time.sleep(0.02)
        return lock

    def make_data_folder(self, folder: Path) -> None:
        """Create or take over a folder that the server may write to."""
        host.make_folder(folder, self._account)

    def install(self, program: host.Program) -> Path:
        """The folder of the program's package, where the server's account can execute it."""
        programs = self.path / "programs"
        if self._account is not None:
            host.make_folder(programs)
            programs.chmod(0o755)
        return host.install(program, self._account, programs)

    def secret(self, name: str) -> str:
        """A random word, made at the first call and kept."""
        path = self.path / name
        if not path.exists():
            self.write_private(path, secrets.token_urlsafe(24))
        return path.read_text()

    def write_private(self, path: Path, text: str) -> None:
        """Write a file that only we and the server can read, whole or not at all."""
        unfinished = path.with_name(path.name + ".unfinished")
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        if self._account is not None:
            os.chown(unfinished, 0, self._account.group)
            unfinished.chmod(0o640)
        unfinished.rename(path)

    def last_words(self) -> str:
        """Where the log is, and its last line."""
        lines = self.log.read_text(errors="replace").split("\n") if self.log.exists() else []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        return f"the end of {self.log} says: {last}".rstrip(".")

    def _let_in(self, account: host.Account) -> None:
        # Root writes files in here, and must not be led astray by links that the server's account
        # could put into a folder of its own.
        os.chown(self.path, 0, account.group)
        self.path.chmod(0o750)
        closed = host.closed_parent(self.path, account)
        if closed is not None:
            raise DevError(
                f"{self._label} runs under the account {account.name}, which may not enter "
                f"{closed}; name another folder with GTSD_STATE_DIR."
            )


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
