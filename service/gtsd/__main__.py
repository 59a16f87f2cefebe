"""``gtsd``: its commands, and the only place that reads the environment and the arguments."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, MutableMapping, Sequence
from importlib import import_module
from typing import Final, NamedTuple, TextIO

from gtsd import check
from gtsd.settings import SettingsError, read
from gtsd.systemd import Supervisor, SupervisorError

_OK: Final = 0
_FAILED: Final = 1
# For settings that cannot be used, as argparse has it for arguments that cannot.
_UNUSABLE: Final = 2


class Call(NamedTuple):
    """What a command works with."""

    options: argparse.Namespace
    environ: MutableMapping[str, str]
    out: TextIO
    errors: TextIO


# Each command imports what it needs itself: `gtsd check` must not wait for Tornado, nor a host in
# production have what only `gtsd dev` needs. The imports are late, so the results are untyped.


def _serve(call: Call) -> int:
    supervisor = Supervisor.from_environ(call.environ)
    settings = read(call.environ)
    status: int = asyncio.run(import_module("gtsd.lifecycle").serve(settings, supervisor))
    return status


def _work(call: Call) -> int:
    supervisor = Supervisor.from_environ(call.environ)
    settings = read(call.environ)
    status: int = asyncio.run(import_module("gtsd.worker").work(settings, supervisor))
    return status


def _jobs(call: Call) -> int:
    settings = read(call.environ)
    status: int = import_module("gtsd.jobs.cli").main(call.options, settings, call.out)
    return status


def _migrate(call: Call) -> int:
    status: int = import_module("gtsd.migrate.cli").main(call.options, call.environ)
    return status


def _deploys(call: Call) -> int:
    cli = import_module("gtsd.deploys.cli")
    status: int = cli.main(call.options, call.environ, call.out, call.errors)
    return status


def _db(call: Call) -> int:
    cli = import_module("gtsd.db")
    status: int = cli.main(call.options, call.environ, call.out, call.errors)
    return status


def _memory(call: Call) -> int:
    status: int = import_module("gtsd.memory").main(call.options, call.out, call.errors)
    return status


def _drill(call: Call) -> int:
    cli = import_module("gtsd.drill.cli")
    status: int = cli.main(call.options, call.environ, call.out, call.errors)
    return status


def _check(call: Call) -> int:
    if call.options.example:
        call.out.write(check.example_file())
        return _OK
    try:
        settings = read(call.environ)
    except SettingsError as error:
        render = check.problems_json if call.options.json else check.problems_text
        call.out.write(render(error.problems))
        return _UNUSABLE
    reached: list[check.Reached] = []
    if call.options.connect:
        reached = import_module("gtsd.check_connect").connect(settings)
    render_ = check.settings_json if call.options.json else check.settings_text
    call.out.write(render_(settings, reached))
    return _FAILED if any(server.problem for server in reached) else _OK


def _openapi(call: Call) -> int:
    call.out.write(import_module("gtsd.app").document_text())
    return _OK


def _smoke(call: Call) -> int:
    status: int = import_module("gtsd.smoke").main(call.options, call.out)
    return status


def _dev(call: Call) -> int:
    status: int = import_module("gtsd.dev.command").main(call.environ)
    return status


def _version(call: Call) -> int:
    version = call.environ.get("APP_VERSION") or "unknown"
    sha = call.environ.get("GIT_SHA") or "unknown"
    python = ".".join(map(str, sys.version_info[:3]))
    call.out.write(f"gtsd {version} (commit {sha}, Python {python})\n")
    return _OK


class _Command(NamedTuple):
    run: Callable[[Call], int]
    help: str


_COMMANDS: Final = {
    "serve": _Command(_serve, "answer requests until SIGTERM"),
    "worker": _Command(_work, "do background jobs until SIGTERM"),
    "jobs": _Command(_jobs, "list background jobs, try failed ones again or give them up"),
    "migrate": _Command(_migrate, "bring the database's schema up, down, or tell where it is"),
    "deploys": _Command(_deploys, "who may release, what was released, and where a rollback goes"),
    "db": _Command(_db, "tell which statements take the database's time"),
    "memory": _Command(_memory, "tell what a running unit keeps in memory, without a restart"),
    "drill": _Command(
        _drill, "restore the newest backup into a throwaway PostgreSQL, and prove it"
    ),
    "check": _Command(_check, "tell every problem of the settings at once, or what they are"),
    "smoke": _Command(_smoke, "try a running API as a new person would; leaves nothing behind"),
    "openapi": _Command(_openapi, "print the OpenAPI document"),
    "dev": _Command(_dev, "serve on servers of its own, with demo data"),
    "version": _Command(_version, "print version and commit"),
}


# Commands with commands of their own, and where those are.
_OWN_OPTIONS: Final = {
    "migrate": "gtsd.migrate.cli",
    "jobs": "gtsd.jobs.cli",
    "deploys": "gtsd.deploys.cli",
    "db": "gtsd.db",
    "drill": "gtsd.drill.cli",
    "memory": "gtsd.memory",
    "smoke": "gtsd.smoke",
}


def run(
    arguments: Sequence[str], environ: MutableMapping[str, str], out: TextIO, errors: TextIO
) -> int:
    """One call of the program; the result is its exit status.

    0 done, 1 failed, 2 the settings or arguments cannot be used; ``migrate`` and ``deploys`` have
    more.
    """
    options = _parser(arguments).parse_args(arguments)
    try:
        return _COMMANDS[options.command].run(Call(options, environ, out, errors))
    except SettingsError as error:
        errors.write(check.problems_text(error.problems))
    except SupervisorError as error:
        errors.write(f"{error}\n")
    return _UNUSABLE


def main() -> int:
    """The console script."""
    return run(sys.argv[1:], os.environ, sys.stdout, sys.stderr)


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("gtsd", description="The GTSD API, in one program.")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    for name, command in _COMMANDS.items():
        if name in _OWN_OPTIONS and name in arguments[:1]:
            # Only then, because its options come with all of its imports.
            import_module(_OWN_OPTIONS[name]).register(commands)
            continue
        added = commands.add_parser(name, help=command.help, description=command.help)
        if name == "check":
            what = added.add_mutually_exclusive_group()
            what.add_argument("--connect", action="store_true", help="try the servers as well")
            what.add_argument(
                "--example", action="store_true", help="print systemd/gtsd.env.example instead"
            )
            added.add_argument("--json", action="store_true", help="for programs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
