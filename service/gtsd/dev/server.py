"""One embedded server: its folder, its keeper process, and the wait until it answers."""

from __future__ import annotations

import abc
import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from gtsd.dev import host, keeper
from gtsd.dev.errors import DevError

_HOST = "127.0.0.1"
_START_SECONDS = 30.0
# Time for the servers of a killed process to come down before the folder counts as in use.
_LOCK_SECONDS = 15.0
# Another program may take the port between our look at it and the server's.
_PORT_ATTEMPTS = 5


class EmbeddedServer(abc.ABC):
    """A server of our own on 127.0.0.1, whose data lives in ``folder`` and outlives it.

    As root it runs under an unprivileged account. It ends with this process, however that ends.
    ``start`` and ``stop`` block; both raise DevError with one sentence when they cannot.
    """

    program: ClassVar[host.Program]
    label: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    grace_seconds: ClassVar[float] = 10.0

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder.absolute()
        self._given_port = port
        self._port = port
        self._account = host.unprivileged_account()
        self._keeper: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._programs: Path | None = None
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"

    @property
    def port(self) -> int:
        """The TCP port; known once started, and the same after a restart of this object."""
        if self._port is None:
            raise RuntimeError(f"{self.label} was never started")
        return self._port

    @property
    def pid(self) -> int:
        """The server's process; for tests that kill or stop it."""
        if self._pid is None:
            raise RuntimeError(f"{self.label} is not running")
        return self._pid

    @property
    def running(self) -> bool:
        """Whether the process is there; it may have ended by itself."""
        return self._keeper is not None and self._keeper.poll() is None

    def start(self) -> Self:
        """Returns when the server answers; starting twice is one start."""
        if self.running:
            return self
        self._make_own_folder()
        lock = self._lock()
        try:
            self._programs = host.install(self.program, self._account, self._programs_folder())
            self.prepare()
            self._start_on_a_port(lock)
        finally:
            # The keeper holds it from here on, so it is free when the server is gone, not before.
            os.close(lock)
        return self

    def stop(self) -> None:
        """Returns when the process is gone; its data stays. Stopping twice is one stop."""
        keeper_process, self._keeper, self._pid = self._keeper, None, None
        if keeper_process is None:
            return
        assert keeper_process.stdin is not None
        assert keeper_process.stdout is not None
        keeper_process.stdin.close()
        keeper_process.stdout.close()
        keeper_process.wait(self.grace_seconds + 10)

    def kill(self) -> None:
        """End it as a crash would; returns when the process is gone."""
        os.kill(self.pid, signal.SIGKILL)
        self.stop()

    def restart(self) -> None:
        """Stop and start on the same port."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @abc.abstractmethod
    def prepare(self) -> None:
        """Make the data folder and what else has to be there before a start."""

    @abc.abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments; no secret among them, everybody can read those."""

    @abc.abstractmethod
    def answers(self) -> bool:
        """Whether the server takes requests; called until it does."""

    def make_data_folder(self, folder: Path) -> None:
        """Create or take over a folder that the server may write to."""
        host.make_folder(folder, self._account)

    def environment(self) -> dict[str, str]:
        """All that the server sees of our environment: nothing."""
        return {"LC_ALL": "C", "PATH": "/usr/bin:/bin", "HOME": str(self.folder)}

    def executable(self, path: str) -> str:
        """The full path of one of the package's programs, where the server's account can run it."""
        assert self._programs is not None
        return str(self._programs / path)

    def secret(self, name: str) -> str:
        """A random word, made at the first call and kept in the folder."""
        path = self.folder / name
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

    def run(self, command: list[str], what: str) -> None:
        """Run a helper program as the server's account, to its end; raises DevError."""
        account = self._account
        with self.log.open("ab") as log:
            try:
                status = subprocess.run(
                    command,
                    cwd=self.folder,
                    env=self.environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    user=account.user if account else None,
                    group=account.group if account else None,
                    extra_groups=[] if account else None,
                    check=False,
                ).returncode
            except OSError as error:
                raise self._not_executable(error.strerror) from None
        if status != 0:
            raise DevError(f"{self.label}: {what} failed; {self._last_words()}.")

    def _programs_folder(self) -> Path:
        folder = self.folder / "programs"
        if self._account is not None:
            host.make_folder(folder)
            folder.chmod(0o755)
        return folder

    def _make_own_folder(self) -> None:
        host.make_folder(self.folder)
        if self._account is None:
            return
        # Ours, and open to the server's group: root writes files in here, and must not be led
        # astray by links that the server's account could put in a folder of its own.
        os.chown(self.folder, 0, self._account.group)
        self.folder.chmod(0o750)
        closed = host.closed_parent(self.folder, self._account)
        if closed is not None:
            raise DevError(
                f"{self.label} runs under the account {self._account.name}, which may not enter "
                f"{closed}; name another folder with GTSD_STATE_DIR."
            )

    def _lock(self) -> int:
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return lock
            except BlockingIOError:
                if time.monotonic() > until:
                    os.close(lock)
                    raise DevError(
                        f"Another process already runs {self.label} in {self.folder}; stop it, or "
                        "name another folder with GTSD_STATE_DIR."
                    ) from None
                time.sleep(0.02)

    def _start_on_a_port(self, lock: int) -> None:
        for _ in range(_PORT_ATTEMPTS):
            if self._port is None:
                self._port = host.free_port()
            elif host.port_is_taken(self._port):
                raise DevError(f"{self.label}: port {self._port} is taken by another program.")
            self._launch(lock)
            if self._wait_for_answer():
                return
            self.stop()
            if not host.port_is_taken(self._port) or self._given_port is not None:
                break
            self._port = None
        raise DevError(f"{self.label} did not start; {self._last_words()}.")

    def _launch(self, lock: int) -> None:
        account = self._account
        order = {
            "command": self.command(),
            "environment": self.environment(),
            "folder": str(self.folder),
            "log": str(self.log),
            "user": account.user if account else None,
            "group": account.group if account else None,
            "stop_signal": int(self.stop_signal),
            "grace": self.grace_seconds,
        }
        # A session of its own keeps a terminal's signals away from the keeper and the server.
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", keeper.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self.environment(),
            pass_fds=[lock],
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
        self._keeper = process
        answer = json.loads(process.stdout.readline() or b'{"error": "its keeper ended"}')
        if "error" in answer:
            self.stop()
            raise self._not_executable(answer["error"])
        self._pid = answer["pid"]

    def _wait_for_answer(self) -> bool:
        until = time.monotonic() + _START_SECONDS
        while self.running and time.monotonic() < until:
            if self.answers():
                return True
            time.sleep(0.01)
        return False

    def _not_executable(self, reason: str | None) -> DevError:
        return DevError(
            f"{self.label} of the package {self.program.distribution} cannot be executed on this "
            f"machine ({os.uname().machine}): {reason}."
        )

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").split("\n") if self.log.exists() else []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        return f"the end of {self.log} says: {last}".rstrip(".")
