"""From start to end: restore, replay, prove, try, throw away. Read it from top to bottom."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg2

from gtsd.drill import checks, messages, queries, segments, service
from gtsd.drill.archive import way
from gtsd.drill.compare import compare
from gtsd.drill.errors import Cause, DrillError
from gtsd.drill.figures import Figures
from gtsd.drill.place import Place, throwaway
from gtsd.drill.reading import Reader, reading
from gtsd.drill.repository import Backup, Repository
from gtsd.drill.segments import Segment
from gtsd.drill.server import Control, Throwaway
from gtsd.drill.signals import undisturbed
from gtsd.migrate.connection import said

_DEBIAN: Final = Path("/usr/lib/postgresql")


@dataclass(frozen=True)
class Plan:
    """What the options ask for."""

    repository: Repository
    folder: Path
    binaries: Path | None
    database: str
    superuser: str
    service_role: str
    migrations: Path
    spare_bytes: int
    compare: str | None
    environ: Mapping[str, str]


class Drill:
    """One run; ``figures`` grow as it goes, and are true whenever it ends."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._say = say
        self._began = time.monotonic()
        self.figures = Figures(datetime.now(UTC))

    def run(self) -> None:
        """Raises DrillError; what it made is gone when this returns, however that is."""
        with throwaway(self._plan.folder) as place:
            with self._step("look"):
                backup = self._plan.repository.newest()
                binaries = self._binaries(backup)
                place.require(backup.bytes, self._plan.spare_bytes)
            with self._step("restore"):
                self._plan.repository.restore(backup, place)
            with self._step("archive"):
                control = Control(binaries, place.data)
                newest = self._newest_segment(backup, control)
            server = Throwaway(binaries, place, self._plan.environ, self._plan.superuser)
            try:
                self._try(server, backup, newest, control)
                with self._step("pages"):
                    self._prove_pages(server, place, control)
            finally:
                with undisturbed():
                    server.end()
        self.figures.passed = True

    def _binaries(self, backup: Backup) -> Path:
        self.figures.facts |= {
            "backup": backup.label,
            "backup_ended": backup.ended.isoformat(),
            "backup_bytes": backup.bytes,
        }
        found = self._plan.binaries or _DEBIAN / backup.version / "bin"
        if not (found / "postgres").is_file():
            raise messages.not_found(found / "postgres", f"postgresql-{backup.version}")
        return found

    def _newest_segment(self, backup: Backup, control: Control) -> Segment:
        found = way(self._plan.repository, backup, control.segment_bytes)
        name = found.newest.name(control.segment_bytes)
        self.figures.facts |= {"newest_wal": name, "newest_wal_arrived": found.arrived.isoformat()}
        return found.newest

    def _try(self, server: Throwaway, backup: Backup, newest: Segment, control: Control) -> None:
        with self._step("recover"):
            command = self._plan.repository.restore_command(server.data)
            server.configure(command, newest.timeline, control)
            server.start()
            self.figures.rto = time.monotonic() - self._began
            self._judge_recovery(server, backup, newest, control)
        dsn = server.dsn(self._plan.database)
        with self._step("structure"):
            checks.structure(server.binaries, server.dsn("postgres"))
        with self._step("ledgers"):
            self.figures.facts["migrations"] = checks.migrations(dsn, self._plan.migrations)
            self.figures.facts["releases"] = checks.releases(dsn)
        with self._step("constraints"), reading(dsn) as reader:
            self.figures.facts["constraints"] = checks.constraints(reader)
        with self._step("rows"), reading(dsn) as reader:
            self.figures.tables = reader.tables()
            if self._plan.compare is not None:
                self._compare(reader, self._plan.compare)
        with self._step("service"):
            url = server.url(self._plan.service_role, self._plan.database)
            self.figures.facts["calls"] = service.smoke(
                url, server.place.folder / "service.log", self._plan.environ
            )

    def _compare(self, reader: Reader, dsn: str) -> None:
        try:
            with reading(dsn) as running:
                found = compare(reader, self.figures.tables, running)
        except psycopg2.OperationalError as error:
            raise DrillError(
                Cause.PREPARE, f"--compare: the server cannot be read: {said(error)}"
            ) from error
        self.figures.facts |= {"compared_rows": found.rows, "compared_at": found.lsn}
        self.figures.facts["differing_rows"] = 0

    def _judge_recovery(
        self, server: Throwaway, backup: Backup, newest: Segment, control: Control
    ) -> None:
        """PostgreSQL takes whatever it cannot read for the end: it must have come to the newest."""
        with reading(server.dsn("postgres")) as reader:
            ((position, committed, self.figures.bytes),) = reader.rows(queries.REPLAYED)
        # Without any commit in the WAL, all that there is was in the backup.
        newest_commit = max(committed or backup.ended, backup.ended)
        self.figures.rpo = max(0.0, (self.figures.began - newest_commit).total_seconds())
        self.figures.facts |= {"lsn": position, "newest_commit": newest_commit.isoformat()}
        size = control.segment_bytes
        if position is None or segments.lsn(position) <= newest.number * size:
            raise messages.of_stop(server.log, server.place.free, newest.name(size), position)

    def _prove_pages(self, server: Throwaway, place: Place, control: Control) -> None:
        self.figures.facts["page_checksums"] = control.page_checksums
        server.stop()
        if control.page_checksums:
            checks.pages(server.binaries, place.data)

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        """Its duration and, where it fails, its name and why."""
        figures, began = self.figures, time.monotonic()
        figures.step = name
        try:
            yield
        except psycopg2.Error as error:
            if isinstance(error.__context__, DrillError):
                # A signal ended the statement, and its cursor cannot be closed any more.
                raise error.__context__ from None
            raise DrillError(Cause.SERVER, f"the database said: {said(error)}") from error
        except OSError as error:
            cause = Cause.DISK_FULL if error.errno == errno.ENOSPC else Cause.PREPARE
            raise DrillError(cause, str(error)) from error
        finally:
            figures.steps[name] = time.monotonic() - began
        self._say(f"{name}: {figures.steps[name]:.1f} s")
