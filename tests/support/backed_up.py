"""A real PostgreSQL of the system that archives into a real, encrypted pgBackRest repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.support.somebody import give, somebody

KEY = "a-key-for-tests"
_DEBIAN = Path("/usr/lib/postgresql")
_MISSING = (
    "PostgreSQL or pgBackRest is missing; run this once: sudo apt-get install postgresql pgbackrest"
)
_BOUND = 60


def binaries() -> Path:
    """Of the newest PostgreSQL of the system; without one the test is skipped, in CI it fails."""
    found = sorted(_DEBIAN.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not found or shutil.which("pgbackrest") is None:
        if os.environ.get("CI") == "true":
            pytest.fail(_MISSING)
        pytest.skip(_MISSING)
    return found[-1].parent


class BackedUp:
    """One server with its repository, all below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.binaries = binaries()
        self.data = folder / "data"
        self.socket = folder / "socket"
        self.repository = folder / "repository"
        self.config = folder / "pgbackrest.conf"

    def run(self, *words: object) -> str:
        """A program as the owner of all this; what it says, once it has succeeded."""
        done = subprocess.run(
            [*somebody(), *map(str, words)],
            cwd="/",
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_BOUND,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def pgbackrest(self, *words: str) -> str:
        """The same for pgBackRest."""
        return self.run("pgbackrest", f"--config={self.config}", "--stanza=gtsd", *words)

    def make(self) -> None:
        """From nothing to a server that archives."""
        for folder in (self.data, self.socket, self.repository):
            folder.mkdir(mode=0o700)
            give(folder)
        self.write_config(self.config)
        self.run(
            self.binaries / "initdb",
            *("-D", self.data, "-U", "postgres", "-A", "trust", "--data-checksums", "--no-sync"),
            *("--locale=C.UTF-8", "--encoding=UTF8"),
        )
        archive = f"pgbackrest --config={self.config} --stanza=gtsd archive-push %p"
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(
                f"listen_addresses = ''\nunix_socket_directories = '{self.socket}'\n"
                f"archive_mode = on\narchive_command = '{archive}'\nfsync = off\n"
                "max_connections = 150\nmax_prepared_transactions = 7\n"
            )
        self.start()
        self.pgbackrest("stanza-create")

    def write_config(self, path: Path, key: str | None = KEY) -> Path:
        """pgBackRest's configuration; with another key, or none."""
        secret = f"repo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass={key}\n" if key else ""
        work = self.folder / "work"
        path.write_text(
            f"[global]\nrepo1-path={self.repository}\n{secret}repo1-retention-full=9\n"
            f"log-path={work}\nlock-path={work}\nspool-path={work}\nlog-level-file=off\n"
            "start-fast=y\ncompress-type=lz4\njob-retry=0\n"
            f"[gtsd]\npg1-path={self.data}\npg1-socket-path={self.socket}\npg1-user=postgres\n"
        )
        return path

    def start(self) -> None:
        """Until it answers."""
        self.run(
            self.binaries / "pg_ctl", "-D", self.data, "-l", self.folder / "log", "-w", "start"
        )

    def stop(self) -> None:
        """All is written and archived."""
        self.run(self.binaries / "pg_ctl", "-D", self.data, "-m", "fast", "-w", "stop")

    def dsn(self, database: str = "gtsd") -> str:
        """As the superuser."""
        return f"host={self.socket} user=postgres dbname={database}"

    def url(self, role: str = "postgres") -> str:
        """The same for the service."""
        return f"postgresql://{role}@/gtsd?host={self.socket}"

    def execute(self, sql: str, database: str = "gtsd") -> list[tuple[Any, ...]]:
        """Outside any transaction; the rows, where there are some."""
        with closing(psycopg2.connect(self.dsn(database))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []

    def elsewhere(self, table: str) -> None:
        """A table in a folder outside of the server's own; no restore may write there."""
        folder = self.folder / "elsewhere"
        folder.mkdir(mode=0o700)
        give(folder)
        self.execute(f"CREATE TABLESPACE elsewhere LOCATION '{folder}'")
        self.execute(f"CREATE TABLE {table} TABLESPACE elsewhere AS SELECT generate_series(1, 9) n")

    def archive(self) -> str:
        """Everything until now is in the repository; the name of its newest segment."""
        ((name,),) = self.execute("SELECT pg_walfile_name(pg_switch_wal())")
        until = time.monotonic() + _BOUND
        while self.execute("SELECT last_archived_wal FROM pg_stat_archiver")[0][0] < name:
            assert time.monotonic() < until, "it was not archived"
            time.sleep(0.02)
        return str(name)

    def segments(self) -> list[Path]:
        """The archive's files of WAL, oldest first."""
        return sorted(self.repository.glob("archive/gtsd/*/*/*-*"), key=lambda path: path.name)

    def backup_folder(self) -> Path:
        """Of the newest backup."""
        return max(path for path in self.repository.glob("backup/gtsd/2*") if path.is_dir())

    @contextmanager
    def spoiled(self) -> Iterator[Path]:
        """The repository, to be damaged; put back at the end."""
        good = self.folder / "good"
        self.run("cp", "-a", self.repository, good)
        try:
            yield self.repository
        finally:
            self.run("rm", "-rf", self.repository)
            self.run("mv", good, self.repository)


def flip(path: Path, at: int) -> None:
    """One byte of it becomes another."""
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)
