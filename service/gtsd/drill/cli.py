"""``gtsd drill``: does one, and tells the log and node_exporter how it went."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from typing import Final, TextIO

from gtsd.drill.errors import Cause, DrillError
from gtsd.drill.options import register
from gtsd.drill.repository import Repository
from gtsd.drill.run import Drill, Plan
from gtsd.drill.signals import stopping

__all__ = ["main", "register"]

_MEGABYTE: Final = 1_000_000


def main(args: argparse.Namespace, environ: Mapping[str, str], out: TextIO, errors: TextIO) -> int:
    """Do what the parsed arguments say; gives the exit status."""

    def say(sentence: str) -> None:
        errors.write(sentence + "\n")
        errors.flush()

    drill = Drill(_plan(args, environ), say)
    try:
        with stopping():
            _refuse_root()
            drill.run()
    except DrillError as error:
        drill.figures.cause, drill.figures.why = error.cause, str(error)
        say(f"restore drill failed in step {drill.figures.step}: {error}")
    finally:
        # After what nobody thought of, too: an old success must not look like a new one.
        written = _write(drill, args, say)
        out.write(drill.figures.line() + "\n")
        out.flush()
    return 0 if drill.figures.passed and written else 1


def _plan(args: argparse.Namespace, environ: Mapping[str, str]) -> Plan:
    return Plan(
        repository=Repository(args.stanza, args.config, args.repo, environ),
        folder=args.folder,
        binaries=args.postgresql_bin,
        database=args.database,
        superuser=args.superuser,
        service_role=args.service_role,
        migrations=args.migrations,
        spare_bytes=args.spare_mb * _MEGABYTE,
        compare=args.compare,
        environ=environ,
    )


def _write(drill: Drill, args: argparse.Namespace, say: Callable[[str], None]) -> bool:
    try:
        drill.figures.write(args.metrics_file)
    except OSError as error:
        say(f"the metrics cannot be written to {args.metrics_file}: {error.strerror}")
        return False
    return True


def _refuse_root() -> None:
    if os.geteuid() == 0:
        raise DrillError(
            Cause.PREPARE,
            "PostgreSQL refuses to run as root: run it as the owner of the repository,"
            " `systemctl start gtsd-drill`",
        )
