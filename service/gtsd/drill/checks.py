"""Proofs on the restored database: structure, pages, ledgers, constraints."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from gtsd.deploys import ledger
from gtsd.deploys.chain import first_break
from gtsd.deploys.connection import transaction
from gtsd.deploys.errors import DeployError
from gtsd.drill import messages, queries
from gtsd.drill.errors import Cause, DrillError
from gtsd.drill.reading import Reader
from gtsd.migrate import report
from gtsd.migrate.connection import Link
from gtsd.migrate.errors import MigrationError
from gtsd.migrate.files import read_folder

_CONSTRAINTS = (queries.NOT_NULL, queries.CHECKS, queries.UNIQUE, queries.FOREIGN_KEYS)
_SHOWN = 5


def structure(binaries: Path, dsn: str) -> None:
    """Tables and indexes of all databases: each row is in each index, in its order.

    pg_amcheck makes its extension where it is missing, which is why this is done on a copy.
    """
    done = _program(
        binaries / "pg_amcheck",
        "--all",
        "--install-missing",
        "--heapallindexed",
        f"--jobs={os.cpu_count() or 1}",
        f"--maintenance-db={dsn}",
    )
    if done.returncode != 0:
        raise DrillError(
            Cause.INVARIANT,
            f"pg_amcheck found damage: {messages.short(done.stdout + done.stderr)}",
        )


def pages(binaries: Path, data: Path) -> None:
    """Every page of every file has the checksum that it was written with; the server is down."""
    done = _program(binaries / "pg_checksums", "--check", "-D", str(data))
    if done.returncode != 0:
        raise DrillError(
            Cause.INVARIANT,
            f"pages are damaged: {messages.short(done.stderr + done.stdout)}",
        )


def migrations(dsn: str, folder: Path) -> str:
    """The ledger of migrations is a beginning of our files; gives a sentence on it."""
    try:
        known = read_folder(folder)
        with Link(dsn, "gtsd drill") as link:
            return report.verify(link, known)
    except MigrationError as error:
        raise DrillError(
            Cause.INVARIANT, f"the ledger of migrations is not whole: {messages.short(str(error))}"
        ) from error


def releases(dsn: str) -> int:
    """The chain of hashes of the deploy ledger holds; gives the number of its records."""
    try:
        with transaction(dsn, "drill", snapshot=True) as session:
            records, recorded = ledger.read(session), ledger.recorded(session)
    except DeployError as error:
        raise DrillError(Cause.SERVER, str(error)) from error
    broken = first_break(records, recorded)
    if broken is not None:
        raise DrillError(Cause.INVARIANT, f"the ledger of releases is not intact: {broken}")
    return len(records)


def constraints(reader: Reader) -> int:
    """What constraints promise is counted in the rows themselves; gives how many hold."""
    found = [each for query in _CONSTRAINTS for each in reader.rows(query)]
    counted = [(table, name, reader.number(statement)) for table, name, statement in found]
    broken = [f"{name} of {table}: {number:,} rows" for table, name, number in counted if number]
    if broken:
        raise DrillError(Cause.INVARIANT, f"constraints do not hold: {_some(broken)}")
    return len(counted)


def _some(sentences: Sequence[str]) -> str:
    more = len(sentences) - _SHOWN
    return "; ".join(sentences[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def _program(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - the host's own program, our own words
            [path, *words],
            env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        raise messages.not_found(path, "the PostgreSQL server of that version") from None
