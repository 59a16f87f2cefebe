"""One embedded server: its folder, its keeper process, and the wait until it answers."""

from __future__ import annotations

import abc
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from gtsd.dev import host, keeper
from gtsd.dev.errors import DevError
from gtsd.dev.folder import ServerFolder

_START_SECONDS: Final = 30.0
# Another program may take the port between our look at it and the server's.
_PORT_ATTEMPTS: Final = 5


class EmbeddedServer(abc.ABC):
    """A server of our own on 127.0.0.1, whose data lives in ``folder`` and outlives it.

    As root it runs under an unprivileged account. It ends with this process, however that ends.
    ``start`` and ``stop`` block; both raise DevError with one sentence when they cannot.
    """

    program: ClassVar[host.Program]
    label: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    crash_signal: ClassVar[signal.Signals] = signal.SIGKILL
    grace_seconds: ClassVar[float] = 10.0

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self._given_port = port
        self._port = port
        self._account = host.unprivileged_account()
        self.folder = ServerFolder(folder.absolute(), self.label, self._account)
        self._keeper: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._programs: Path | None = None

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
    def data(self) -> Path:
        """Where the server keeps its data."""
        return self.folder.data

    def secret(self, name: str) -> str:
        """A random word, made at the first call and kept with the data; "password" is in use."""
        return self.folder.secret(name)

    @property
    def running(self) -> bool:
        """Whether the process is there; it may have ended by itself."""
        return self._keeper is not None and self._keeper.poll() is None

    def start(self) -> Self:
        """Returns when the server answers; starting twice is one start."""
        if self.running:
            return self
        # Of one that ended by itself.
        self.stop()
        lock = self.folder.open()
        try:
            self._programs = self.folder.install(self.program)
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
        """End it as a crash would, with nothing written down; returns when the process is gone."""
        os.kill(self.pid, self.crash_signal)
        assert self._keeper is not None
        self._keeper.wait(self.grace_seconds)
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

    def environment(self) -> dict[str, str]:
        """All that the server sees of our environment: nothing."""
        return {"LC_ALL": "C", "PATH": "/usr/bin:/bin", "HOME": str(self.folder.path)}

    def executable(self, path: str) -> str:
        """The full path of one of the package's programs, where the server's account can run it."""
        assert self._programs is not None
        return str(self._programs / path)

    def run(self, command: list[str], what: str) -> None:
        """Run a helper program as the server's account, to its end; raises DevError."""
        account = self._account
        with self.folder.log.open("ab") as log:
            try:
                status = subprocess.run(
                    command,
                    cwd=self.folder.path,
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
            raise DevError(f"{self.label}: {what} failed; {self.folder.last_words()}.")

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
        raise DevError(f"{self.label} did not start; {self.folder.last_words()}.")

    def _launch(self, lock: int) -> None:
        account = self._account
        order = {
            "command": self.command(),
            "environment": self.environment(),
            "folder": str(self.folder.path),
            "log": str(self.folder.log),
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
