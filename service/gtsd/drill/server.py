"""A throwaway PostgreSQL on the restored data: it replays the archive, and answers on a socket."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg2
from psycopg2 import extensions

from gtsd.drill import messages
from gtsd.drill.place import Place
from gtsd.drill.signals import undisturbed

_PORT: Final = 5432
_LOOK_S: Final = 0.2
_GRACE_S: Final = 60.0
# Beside what the restored control file says. Data that is thrown away need not survive a crash, and
# nothing of the old configuration counts: not its archive, its primary, its libraries.
_SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": str(_PORT),
    "max_connections": "40",
    # Nobody reads before recovery has ended, and so PostgreSQL does not ask for the primary's
    # max_connections and its like, which WAL could raise on the way.
    "hot_standby": "off",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "archive_mode": "off",
    "shared_buffers": "64MB",
    "maintenance_work_mem": "64MB",
    "work_mem": "16MB",
    "max_wal_size": "512MB",
    "huge_pages": "off",
    # Recovery writes back as it goes, not all at the end.
    "checkpoint_timeout": "5min",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "jit": "off",
    "ssl": "off",
    "timezone": "GMT",
    "log_timezone": "GMT",
    "logging_collector": "off",
    "log_destination": "stderr",
    "lc_messages": "C",
}
_CONTROL: Final = re.compile(r"^([^:\n]+):\s+(.*)$", re.MULTILINE)


class Control:
    """What pg_controldata says of a cluster."""

    def __init__(self, binaries: Path, data: Path) -> None:
        said = subprocess.run(  # noqa: S603 - the host's own program on our own folder
            [binaries / "pg_controldata", "-D", data],
            env={"LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        self._fields = {name: value.strip() for name, value in _CONTROL.findall(said)}

    @property
    def segment_bytes(self) -> int:
        """Size of a segment of WAL."""
        return int(self._fields["Bytes per WAL segment"])

    @property
    def page_checksums(self) -> bool:
        """Whether pages have any."""
        return bool(self._fields["Data page checksum version"] != "0")

    @property
    def settings(self) -> dict[str, str]:
        """What recovery needs at least as much of as the primary had."""
        return {
            "max_prepared_transactions": self._fields["max_prepared_xacts setting"],
            "max_locks_per_transaction": self._fields["max_locks_per_xact setting"],
        }


class Throwaway:
    """One server; ``end`` is to be called whatever happens."""

    def __init__(self, binaries: Path, place: Place, environ: Mapping[str, str], user: str) -> None:
        self.binaries = binaries
        self.place = place
        # For pgBackRest, which it calls for each segment.
        self._environ = {**environ, "LC_ALL": "C"}
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, restore_command: str, timeline: int, control: Control) -> None:
        """Write its whole configuration, in place of all that was restored."""
        place = self.place
        settings = {
            **_SETTINGS,
            **control.settings,
            "unix_socket_directories": str(place.socket),
            "hba_file": str(place.folder / "pg_hba.conf"),
            "ident_file": str(place.folder / "pg_ident.conf"),
            "restore_command": restore_command,
            "recovery_target_timeline": str(timeline),
        }
        text = "".join(f"{name} = {_quoted(value)}\n" for name, value in settings.items())
        (place.folder / "postgresql.conf").write_text(text)
        # The folder of the socket lets in nobody but ourselves.
        (place.folder / "pg_hba.conf").write_text("local all all trust\n")
        (place.folder / "pg_ident.conf").write_text("")
        # Read after all others, and written by the primary's ALTER SYSTEM and by pgBackRest.
        (place.data / "postgresql.auto.conf").write_text("")

    def start(self) -> None:
        """Returns once it answers, so after all of the archive is replayed; raises DrillError."""
        # A signal between its birth and its name would leave it behind.
        with undisturbed(), self.place.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the host's own program
                [
                    self.binaries / "postgres",
                    "-D",
                    self.place.data,
                    f"--config-file={self.place.folder / 'postgresql.conf'}",
                ],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # What a terminal sends to us is ours to hand on.
                start_new_session=True,
            )
        while not self._answers():
            if self._process.poll() is not None:
                raise messages.of_server(self.log, self.place.free)
            time.sleep(_LOOK_S)

    def _answers(self) -> bool:
        try:
            psycopg2.connect(self.dsn("postgres"), connect_timeout=5).close()
        except psycopg2.OperationalError:
            return False
        return True

    @property
    def data(self) -> Path:
        """Its files."""
        return self.place.data

    @property
    def log(self) -> str:
        """All that it has said."""
        return self.place.log.read_text(errors="replace")

    def dsn(self, database: str) -> str:
        """For libpq, as the superuser."""
        parts = {"host": str(self.place.socket), "port": str(_PORT), "user": self._user}
        return extensions.make_dsn(**parts, dbname=database)

    def url(self, role: str, database: str) -> str:
        """For the service."""
        host = quote(str(self.place.socket), safe="")
        return f"postgresql://{quote(role)}@/{quote(database)}?host={host}&port={_PORT}"

    def stop(self) -> None:
        """In good order: all is written, so that its files can be looked at."""
        self._leave(signal.SIGINT)

    def end(self) -> None:
        """At once; nothing of it is needed any more."""
        self._leave(signal.SIGQUIT)

    def _leave(self, how: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._process = None


def _quoted(value: str) -> str:
    doubled = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{doubled}'"
