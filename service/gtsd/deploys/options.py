"""What ``gtsd deploys`` understands; a refusal names option, problem and example."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from gtsd.deploys.errors import BadUsage
from gtsd.deploys.history import EVENTS
from gtsd.deploys.releases import DEFAULT_FOLDER

# As the builder of releases has it: it is a folder and an instance of a unit.
VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+((a|b|rc|\.dev|\.post)[0-9]+)?")
_HOLDER = re.compile(r"[!-~][ -~]{0,199}")
_PURPOSE = re.compile(r"[a-z][a-z ]{0,29}")
_LONGEST_TTL = 3600.0
_MOST_DETAILS = 65_536

EPILOG = """\
DATABASE_URL (or DATABASE_URL_FILE, or a systemd credential) is that of the owner of the tables.
With --json each command prints one JSON object, also of what it refuses.

exit codes:
  0  done
  1  the database cannot be reached or said no, or the ledger is not intact
  2  bad usage
  3  refused: somebody else holds the lease, or the token is stale
  4  forbidden by the schema or by the history of the releases
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``deploys`` and its own commands to those of ``gtsd``."""
    help_ = "who may release, what was released, and where a rollback goes"
    own = _add(subparsers, "deploys", help_)
    commands = own.add_subparsers(dest="deploys_command", metavar="command", required=True)
    _lease_commands(commands)
    _ledger_commands(commands)
    _schema_commands(commands)
    for command in commands.choices.values():
        command.add_argument("--json", action="store_true", help="for programs")


def _add(
    parsers: argparse._SubParsersAction[argparse.ArgumentParser], name: str, what: str
) -> argparse.ArgumentParser:
    layout = argparse.RawDescriptionHelpFormatter
    return parsers.add_parser(
        name, help=what, description=what, epilog=EPILOG, formatter_class=layout
    )


def _lease_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    acquire = _add(commands, "acquire", "get the lease that every change of the fleet needs")
    acquire.add_argument(
        "--holder",
        type=_holder,
        required=True,
        metavar='"WHO WHAT"',
        help="anna@laptop release 1.4.0",
    )
    acquire.add_argument("--purpose", type=_purpose, required=True, metavar="WORD", help="release")
    acquire.add_argument(
        "--wait", type=_seconds(0), default=0.0, metavar="SECONDS", help="for its end (default: 0)"
    )
    renew = _add(commands, "renew", "keep it for longer")
    release = _add(commands, "release", "give it back")
    for command in (renew, release):
        command.add_argument("--token", type=_token, required=True, metavar="N")
    for command in (acquire, renew):
        command.add_argument(
            "--ttl",
            type=_seconds(1),
            default=60.0,
            metavar="SECONDS",
            help="after which it is free without another sign of life (default: 60)",
        )
    _add(commands, "lease", "tell who has it")


def _ledger_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    record = _add(commands, "record", "write down what happened, as the holder of the lease")
    record.add_argument("--token", type=_token, required=True, metavar="N")
    events = "; ".join(f"{name}: {what}" for name, what in EVENTS.items())
    record.add_argument("--event", choices=EVENTS, required=True, metavar="EVENT", help=events)
    record.add_argument("--version", type=_version, required=True, help="that it is about")
    record.add_argument("--previous", type=_version, metavar="VERSION", help="beside it")
    record.add_argument(
        "--details-from", metavar="FILE", help="a JSON object with more; - is standard input"
    )
    ledger = _add(commands, "ledger", "tell what happened")
    ledger.add_argument(
        "--limit", type=_count, default=20, metavar="N", help="the newest N (default: 20)"
    )
    _add(commands, "verify", "compute the chain of hashes anew and compare")
    status = _add(commands, "status", "tell which releases are good or bad")
    status.add_argument("--version", type=_version, help="of this one alone")


def _schema_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    target = _add(commands, "target", "tell which release a rollback goes to")
    target.add_argument("--current", type=_version, required=True, metavar="VERSION")
    target.add_argument(
        "--available", type=_versions, required=True, metavar="V,V", help="on all hosts"
    )
    target.add_argument("--to", type=_version, metavar="VERSION", help="this one and no other")
    tolerates = _add(commands, "tolerates", "tell whether code can run on the schema as it is")
    check = _add(
        commands, "contract-check", "tell whether pending contract migrations may be applied"
    )
    check.add_argument(
        "--running", type=_versions, required=True, metavar="V,V", help="on any host"
    )
    for command in (tolerates, check):
        command.add_argument(
            "--folder", type=Path, required=True, help="the migrations of the release"
        )
    for command in (target, tolerates, check):
        command.add_argument(
            "--releases-folder",
            type=Path,
            default=DEFAULT_FOLDER,
            metavar="FOLDER",
            help="where releases are unpacked (default: %(default)s)",
        )


def details(given: str | None) -> dict[str, Any]:
    """The object in a file or on standard input (``-``), empty without; raises BadUsage."""
    if given is None:
        return {}
    try:
        raw = sys.stdin.buffer.read() if given == "-" else Path(given).read_bytes()
        text = raw.decode()
        if len(raw) > _MOST_DETAILS:
            _refuse(f"{len(raw):,} bytes are too many, {_MOST_DETAILS:,} are allowed")
        found = json.loads(text, parse_constant=_no_number)
        # Numbers like 1e999 are read as infinite, which JSON cannot say.
        json.dumps(found, allow_nan=False)
    except OSError as error:
        _refuse(f"{given} cannot be read: {error.strerror}")
    except (ValueError, RecursionError) as error:
        _refuse(f"that is no JSON: {error}")
    if not isinstance(found, dict):
        _refuse(f"that is no object, but a {type(found).__name__}")
    return found


def _refuse(problem: str) -> NoReturn:
    raise BadUsage(f'--details-from: {problem}. Example: {{"host": "app1"}}. Nothing was done')


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _version(text: str) -> str:
    if not VERSION.fullmatch(text):
        raise argparse.ArgumentTypeError(f"must be like 1.4.0 or 1.4.0rc1, not {text!r}")
    return text


def _versions(text: str) -> list[str]:
    return [_version(part.strip()) for part in text.split(",")] if text.strip() else []


def _holder(text: str) -> str:
    if not _HOLDER.fullmatch(text):
        raise argparse.ArgumentTypeError(
            "must be who, and after a space what for, in 1 to 200 ASCII characters on one line:"
            f" 'anna@laptop release 1.4.0', not {text[:60]!r}"
        )
    return text


def _purpose(text: str) -> str:
    if not _PURPOSE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"must be a small word like release, not {text[:60]!r}")
    return text


def _whole(text: str, least: int, example: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number like {example}, not {text!r}")
    return int(text)


def _token(text: str) -> int:
    return _whole(text, 1, "7, as acquire told it")


def _count(text: str) -> int:
    return _whole(text, 1, "20")


def _seconds(least: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not least <= seconds <= _LONGEST_TTL:
            raise argparse.ArgumentTypeError(
                f"must be {least:g} to {_LONGEST_TTL:g} seconds like 60, not {text!r}"
            )
        return seconds

    return read
