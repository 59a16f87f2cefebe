"""What ``gtsd drill`` understands; a refusal names option, problem and example."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from psycopg2 import ProgrammingError
from psycopg2.extensions import parse_dsn

from gtsd.migrate.cli import DEFAULT_FOLDER

# A unix socket's path has 107 bytes, and ours ends in /throwaway/socket/.s.PGSQL.5432.
_LONGEST_FOLDER = 75
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
_EPILOG = """\
It restores the newest backup and all archived WAL into FOLDER/throwaway, proves what came back,
runs the API on it, and throws it away. Not as root: PostgreSQL refuses that. Where the repository
is, and its key, is in pgBackRest's own configuration.

exit codes:
  0  restored and proved
  1  not: the line in the log says which step failed and why (RUNBOOK.md, Restore drill)
  2  bad usage
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with its options to the program's."""
    help_ = "restore the newest backup into a throwaway PostgreSQL, and prove it"
    own = commands.add_parser(
        "drill",
        help=help_,
        description=help_,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def option(name: str, what: str, kind: Callable[[str], Any], **more: Any) -> None:
        own.add_argument(name, help=what, type=kind, **more)

    option("--stanza", "pgBackRest's name of the cluster (default: gtsd)", _word, default="gtsd")
    option(
        "--folder",
        "a folder of this user for the throwaway (default: %(default)s)",
        _folder,
        default=Path("/var/lib/gtsd-drill"),
    )
    option("--config", "pgBackRest's configuration, where not the usual one", _file, metavar="FILE")
    option("--repo", "number of its repository (default: its first)", _repo, metavar="N")
    option(
        "--postgresql-bin",
        "programs of PostgreSQL (default: Debian's, of the backup's version)",
        _binaries,
        metavar="FOLDER",
    )
    option("--database", "of the service (default: gtsd)", _word, default="gtsd")
    option("--superuser", "of the cluster (default: postgres)", _word, default="postgres")
    option(
        "--service-role",
        "the role that the API is (default: gtsd_app)",
        _word,
        default="gtsd_app",
        metavar="ROLE",
    )
    option(
        "--migrations",
        "those of the release that runs (default: %(default)s)",
        _existing,
        default=DEFAULT_FOLDER,
        metavar="FOLDER",
    )
    option(
        "--metrics-file",
        "for node_exporter (default: %(default)s)",
        _metrics,
        default=Path("/var/lib/prometheus/node-exporter/gtsd_drill.prom"),
        metavar="FILE",
    )
    option(
        "--spare-mb",
        "free space beside the database's size and a tenth of it (default: 1024)",
        _whole,
        default=1024,
        metavar="MB",
    )
    option(
        "--compare",
        "a running server that must have the same rows, without its password"
        " (use PGPASSFILE); it has to be quiet, and its archive complete",
        _dsn,
        metavar="DSN",
    )


def _bad(problem: str, example: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"{problem}. Example: {example}")


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise _bad(f"must be a name of letters, digits and _, not {text[:60]!r}", "gtsd")
    return text


def _absolute(text: str, example: str) -> Path:
    path = Path(text)
    if not path.is_absolute():
        raise _bad(f"must be a path that begins with /, not {text!r}", example)
    return path


def _folder(text: str) -> Path:
    path = _absolute(text, "/var/lib/gtsd-drill")
    if len(text.encode()) > _LONGEST_FOLDER:
        raise _bad(
            f"is longer than {_LONGEST_FOLDER} bytes, too long for a unix socket below it",
            "/var/lib/gtsd-drill",
        )
    return path


def _existing(text: str) -> Path:
    path = _absolute(text, "/opt/gtsd/current/migrations")
    if not path.is_dir():
        raise _bad(f"there is no folder {text}", "/opt/gtsd/current/migrations")
    return path


def _binaries(text: str) -> Path:
    path = _absolute(text, "/usr/lib/postgresql/15/bin")
    if not (path / "postgres").is_file():
        raise _bad(f"there is no program {path / 'postgres'}", "/usr/lib/postgresql/15/bin")
    return path


def _file(text: str) -> Path:
    path = _absolute(text, "/etc/pgbackrest/pgbackrest.conf")
    if not path.is_file():
        raise _bad(f"there is no file {text}", "/etc/pgbackrest/pgbackrest.conf")
    return path


def _metrics(text: str) -> Path:
    example = "/var/lib/prometheus/node-exporter/gtsd_drill.prom"
    path = _absolute(text, example)
    if path.suffix != ".prom":
        raise _bad(f"node_exporter reads only what ends in .prom, not {path.name!r}", example)
    return path


def _number(text: str, least: int, most: int, example: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise _bad(f"must be a whole number from {least} to {most}, not {text!r}", example)
    return int(text)


def _repo(text: str) -> int:
    return _number(text, 1, 256, "1")


def _whole(text: str) -> int:
    return _number(text, 0, 10_000_000, "1024")


def _dsn(text: str) -> str:
    example = "host=db1.example.org dbname=gtsd user=gtsd_readonly sslmode=verify-full"
    try:
        parts = parse_dsn(text)
    except ProgrammingError as error:
        raise _bad(
            f"is no address of PostgreSQL: {' '.join(str(error).split())}", example
        ) from None
    if "password" in parts:
        raise _bad("holds a password, which everybody on this host could read", example)
    return text
