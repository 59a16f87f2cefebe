"""``gtsd jobs``: look at what waits, runs or has failed for good, and decide about the latter."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, TextIO

from gtsd.deadline import within
from gtsd.errors import Unavailable
from gtsd.jobs import queries as q
from gtsd.stores.postgres import ConstraintViolated, Postgres
from gtsd.telemetry.metrics import JobState, Metrics

if TYPE_CHECKING:
    from gtsd.settings import Settings
    from gtsd.stores.postgres import Query

_OK: Final = 0
_FAILED: Final = 1
_PATIENCE_S: Final = 30.0
_COLUMNS: Final = ("id", "job", "queue", "state", "tries", "due", "since")


def register(commands: Any) -> None:
    """Add the command with its options to the program's."""
    help_ = "list background jobs, try failed ones again or give them up"
    own = commands.add_parser("jobs", help=help_, description=help_)
    words = own.add_subparsers(dest="word", metavar="word", required=True)
    shown = words.add_parser("list", help="the newest jobs, dead ones by default")
    shown.add_argument("--state", choices=[*JobState, "all"], default=JobState.DEAD.value)
    shown.add_argument("--limit", type=int, default=100)
    shown.add_argument("--json", action="store_true", help="for programs")
    for word, text in (
        ("retry", "try dead jobs again, from their first try on"),
        ("discard", "delete jobs that wait or are dead; nobody will do them"),
    ):
        added = words.add_parser(word, help=text, description=text)
        which = added.add_mutually_exclusive_group(required=True)
        which.add_argument("--dead", action="store_true", help="all dead jobs")
        which.add_argument("ids", nargs="*", type=int, default=[], metavar="ID")


def main(options: argparse.Namespace, settings: Settings, out: TextIO) -> int:
    """Run it; the exit status is 1 where a job could not be found in such a state."""
    return asyncio.run(_main(options, settings, out))


async def _main(options: argparse.Namespace, settings: Settings, out: TextIO) -> int:
    postgres = await Postgres.open(settings, Metrics())
    try:
        with within(_PATIENCE_S):
            if options.word == "list":
                await _list(postgres, options, out)
                return _OK
            query = q.REVIVE if options.word == "retry" else q.DISCARD
            ids = options.ids or [row[0] for row in await postgres.rows(q.DEAD)]
            return await _change(postgres, query, ids, out)
    except Unavailable as error:
        out.write(f"The database does not answer: {error.message}\n")
        return _FAILED
    finally:
        await postgres.close()


async def _list(postgres: Postgres, options: argparse.Namespace, out: TextIO) -> None:
    """Without arguments: those may name people."""
    state = None if options.state == "all" else options.state
    rows = await postgres.rows(q.LIST, state=state, limit=options.limit)
    jobs = [dict(zip(_COLUMNS, map(_text, row), strict=True)) for row in rows]
    if options.json:
        out.write(json.dumps(jobs, indent=2) + "\n")
        return
    lines = [dict(zip(_COLUMNS, _COLUMNS, strict=True)), *jobs]
    widths = {name: max(len(str(line[name])) for line in lines) for name in _COLUMNS}
    for line in lines if jobs else []:
        out.write("  ".join(str(line[name]).ljust(widths[name]) for name in _COLUMNS).rstrip())
        out.write("\n")
    if not jobs:
        out.write(f"There are no {state or ''} jobs.\n".replace("  ", " "))


def _text(value: Any) -> Any:
    if value is None:
        return ""
    return value if isinstance(value, int | str) else value.isoformat(timespec="seconds")


async def _change(postgres: Postgres, query: Query, ids: Sequence[int], out: TextIO) -> int:
    status = _OK
    for job_id in ids:
        try:
            found = await postgres.value(query, id=job_id)
        except ConstraintViolated:
            out.write(f"{job_id}: another job with its key waits already; discard this one\n")
            status = _FAILED
            continue
        if found is None:
            out.write(f"{job_id}: there is no such job in a state that allows it\n")
            status = _FAILED
        else:
            out.write(f"{job_id}: {'waits again' if query is q.REVIVE else 'is gone'}\n")
    return status
