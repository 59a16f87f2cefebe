"""``gtsd migrate``: what it understands, and what it prints and returns."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import psycopg2

from gtsd.migrate import ledger, report, runner, schema
from gtsd.migrate.connection import Link, said
from gtsd.migrate.errors import BadUsage, MigrationError
from gtsd.migrate.files import Migration, read_folder
from gtsd.migrate.owner import owner_settings
from gtsd.migrate.plan import PHASES, explain, select, select_undo
from gtsd.settings import Settings

# In a checkout; a release says where its own are.
DEFAULT_FOLDER = Path(__file__).parents[3] / "migrations"

_EPILOG = """\
DATABASE_URL (or DATABASE_URL_FILE, or a systemd credential) names PostgreSQL itself, not a pooler.

exit codes:
  0  done, or nothing to do
  1  a statement failed, or the database cannot be reached
  2  bad usage, or files that cannot be run as they are
  3  a lock was not had within the budget
  4  drift: files changed after they were applied, out of order, or schema.sql differs
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``migrate`` and its own commands to those of ``gtsd``."""
    migrate = _add(
        subparsers, "migrate", "bring the database's schema up, down, or tell where it is"
    )
    commands = migrate.add_subparsers(dest="migrate_command", metavar="command", required=True)
    common, run, which = _common_options(), _run_options(), _choice_options()

    _add(commands, "up", "apply what is pending", common, run, which)
    down = _add(commands, "down", "undo, newest first", common, run)
    down.add_argument("--to", type=int, metavar="N", help="the last one to keep; 0 keeps none")
    down.add_argument("--steps", type=int, metavar="N", help="how many to undo")
    down.add_argument("--yes", action="store_true", help="really, in production")
    status = _add(commands, "status", "tell what is applied since when", common)
    status.add_argument("--json", action="store_true", help="for programs")
    _add(commands, "plan", "tell what up would do", common, which)
    verify = _add(commands, "verify", "compare the files with the database", common)
    verify.add_argument("--schema", action="store_true", help="schema.sql, too; needs pg_dump")
    dump = _add(commands, "dump", "write schema.sql from the database", common)
    for command in (verify, dump):
        command.add_argument("--pg-dump", metavar="PATH", help="the program to use")


def _add(
    parsers: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    what: str,
    *options: argparse.ArgumentParser,
) -> argparse.ArgumentParser:
    layout = argparse.RawDescriptionHelpFormatter
    return parsers.add_parser(
        name, help=what, description=what, epilog=_EPILOG, parents=options, formatter_class=layout
    )


def _common_options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--folder", type=Path, default=DEFAULT_FOLDER, help="the migrations (default: %(default)s)"
    )
    return options


def _run_options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--budget",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long to wait for locks altogether (default: 60)",
    )
    options.add_argument(
        "--statement-timeout",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="of each statement in a transaction; 0 is none (default: 30)",
    )
    options.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    return options


def _choice_options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--to", type=int, metavar="N", help="the last one to apply")
    options.add_argument("--phase", choices=PHASES, default="all", help="default: all, in order")
    return options


class _Call(NamedTuple):
    args: argparse.Namespace
    settings: Settings
    environ: Mapping[str, str]

    @property
    def options(self) -> runner.Options:
        given = self.args
        version = self.settings.app_version
        return runner.Options(given.budget, given.statement_timeout, version, _say)

    def link(self) -> Link:
        return Link(self.settings.database_url, f"gtsd migrate {self.args.migrate_command}")


def main(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Do what the parsed arguments say; returns the exit code. Raises SettingsError."""
    try:
        call = _Call(args, owner_settings(environ), environ)
        sys.stdout.write(_COMMANDS[args.migrate_command](call) + "\n")
    except MigrationError as error:
        _say(str(error))
        return error.exit_code
    except psycopg2.Error as error:
        _say(f"the database said: {said(error)}")
        return MigrationError.exit_code
    return 0


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _up(call: _Call) -> str:
    args = call.args
    if args.dry_run:
        return _plan(call)
    url, options = call.settings.database_url, call.options
    done = runner.up(url, args.folder, to=args.to, phase=args.phase, options=options)
    return f"{len(done)} applied" if done else "nothing to do"


def _down(call: _Call) -> str:
    args = call.args
    if args.dry_run:
        applied, _ = _split(call)
        return explain(select_undo(applied, to=args.to, steps=args.steps), undo=True)
    if call.settings.app_env == "production" and not args.yes:
        raise BadUsage("down loses data: in production it needs --yes. Nothing done")
    url, options = call.settings.database_url, call.options
    done = runner.down(url, args.folder, to=args.to, steps=args.steps, options=options)
    return f"{len(done)} undone" if done else "nothing to do"


def _plan(call: _Call) -> str:
    applied, pending = _split(call)
    args = call.args
    return explain(select(pending, to=args.to, phase=args.phase, applied=len(applied)))


def _status(call: _Call) -> str:
    migrations = read_folder(call.args.folder)
    with call.link() as link:
        records = report.status(ledger.read(link), migrations)
    return report.as_json(records) if call.args.json else report.as_table(records)


def _verify(call: _Call) -> str:
    migrations = read_folder(call.args.folder)
    with call.link() as link:
        found = report.verify(link, migrations)
    if not call.args.schema:
        return found
    schema.refuse_difference(_dumped(call), call.args.folder / schema.FILE)
    return f"{found}, the schema is that of {schema.FILE}"


def _dump(call: _Call) -> str:
    _, pending = _split(call)
    if pending:
        raise MigrationError("the database is behind the files: run up first. Nothing written")
    path: Path = call.args.folder / schema.FILE
    path.write_text(_dumped(call))
    return f"wrote {path}"


def _dumped(call: _Call) -> str:
    return schema.dump(call.settings.database_url, call.environ, call.args.pg_dump)


def _split(call: _Call) -> tuple[list[Migration], list[Migration]]:
    """What is applied and what is pending; raises Drift."""
    migrations = read_folder(call.args.folder)
    with call.link() as link:
        pending = ledger.pending(link, migrations)
    return migrations[: len(migrations) - len(pending)], pending


_COMMANDS: dict[str, Callable[[_Call], str]] = {
    "up": _up,
    "down": _down,
    "plan": _plan,
    "status": _status,
    "verify": _verify,
    "dump": _dump,
}
