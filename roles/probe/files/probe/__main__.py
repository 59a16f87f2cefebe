"""The commands: ``python roles/probe/files/probe COMMAND …``; ``--help`` tells them all."""
# What it prints is read by people and by Ansible.
# ruff: noqa: T201

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

if __package__ in {None, ""}:
    # As a folder it is started without a name; its modules call each other by one.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from probe import watch
from probe.errors import ProbeError
from probe.folder import Folder

_FAILED, _UNUSABLE = 1, 2


def _number(least: float, most: float, example: str) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r} must be a number from {least:g} to {most:g}, such as {example}"
            )
        return value

    return read


def _whole(least: int, example: str) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(
                f"{text!r} must be a whole number of {least} or more, such as {example}"
            )
        return int(text)

    return read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="probe", description="An outside client of the API.")
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--folder", type=Path, required=True, help="of one run: its history, state and log"
    )
    run = commands.add_parser("run", parents=[common], help="call until SIGTERM comes")
    start = commands.add_parser("start", parents=[common], help="run in the background")
    for command in (run, start):
        _run_options(command)
    start.add_argument("--patience", type=_number(1, 3600, "60"), default=60.0,
                       help="seconds until the first good answers")  # fmt: skip
    gate = commands.add_parser("gate", parents=[common], help="whether all is well")
    gate.add_argument("--max-failed", type=_whole(0, "0"), default=0)
    gate.add_argument("--max-p99", type=_number(0.001, 60, "0.5"), help="seconds")
    gate.add_argument("--since", type=_number(0, 1e11, "1795867200"), help="seconds since 1970")
    gate.add_argument("--patience", type=_number(0, 600, "2"), default=2.0,
                      help="seconds to look on before it is said that all is well")  # fmt: skip
    commands.add_parser("stop", parents=[common], help="end it, and print its totals")
    report = commands.add_parser("report", parents=[common], help="write the page of a run")
    report.add_argument("--events", type=Path, help="JSON: what was done meanwhile")
    report.add_argument("--out", type=Path, required=True, help="the page to write")
    return parser


def _run_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--url", required=True, help="such as https://api.example.org")
    add("--ca", type=Path, help="certificates to trust, in PEM; else the system's")
    add("--address", action="append", default=[], help="of an edge, in place of DNS; repeatable")
    add("--rate", type=_number(0.1, 1000, "20"), default=20.0, help="requests a second")
    add("--writes", type=_number(0, 1, "0.4"), default=0.4, help="share of them that write")
    add("--accounts", type=_whole(1, "8"), help="to open; by the rate when not given")
    add("--accounts-file", type=Path, help="accounts that exist already")
    add("--mail-domain", default="probe.invalid", help="of the accounts' addresses")
    add("--slow", type=_number(0, 9, "4"), default=4.0,
        help="seconds that one upload and one read at a time take; 0 makes none")  # fmt: skip
    bound = parser.add_mutually_exclusive_group()
    bound.add_argument("--seconds", type=_number(1, 86400, "60"), help="to run")
    bound.add_argument("--requests", type=_whole(1, "20000"), help="to make")
    bound.add_argument("--until-stopped", action="store_true", help="as without any bound")
    add("--longest", type=_number(1, 86400, "3600"), default=3600.0,
        help="seconds after which it ends by itself, whoever forgot it")  # fmt: skip


def _run(options: argparse.Namespace) -> str:
    # Only this command needs what is not in Python itself.
    from probe.run import Options, run
    from probe.wire import target

    to = target(options.url, tuple(options.address), options.ca)
    left = run(
        Options(
            to=to,
            folder=options.folder,
            rate=options.rate,
            writes=options.writes,
            accounts=options.accounts or accounts_for(options.rate),
            accounts_file=options.accounts_file,
            mail_domain=options.mail_domain,
            seconds=options.seconds,
            requests=options.requests,
            longest=options.longest,
            slow=options.slow,
        )
    )
    if left:
        print(f"probe: accounts are left: {'; '.join(left)}", file=sys.stderr)
    return "ended"


def accounts_for(rate: float) -> int:
    """So many that each makes at most 150 of the 200 requests a minute that it may."""
    return max(2, -(-int(rate * 60) // 150))


def _report(options: argparse.Namespace) -> str:
    # Only this command draws.
    from probe.report import write

    return write(Folder(options.folder), options.events, options.out)


def main(arguments: Sequence[str]) -> int:
    """0 and a sentence where all is well, 1 and the reason where not, 2 for unusable arguments."""
    options = _parser().parse_args(arguments)
    folder = Folder(options.folder)
    try:
        if options.command == "run":
            said = _run(options)
        elif options.command == "start":
            passed = without_option(arguments[1:], "--patience")
            said = watch.start(folder, passed, options.patience)
        elif options.command == "gate":
            said = watch.gate(
                folder, options.max_failed, options.max_p99, options.since, options.patience
            )
        elif options.command == "stop":
            said = watch.stop(folder)
        else:
            said = _report(options)
    except ProbeError as error:
        print(error, file=sys.stderr)
        return _FAILED
    print(said)
    return 0


def without_option(arguments: Sequence[str], name: str) -> list[str]:
    """The arguments without one option and its value, in either way to write it."""
    left, rest = [], iter(arguments)
    for argument in rest:
        if argument == name:
            next(rest)
        elif not argument.startswith(f"{name}="):
            left.append(argument)
    return left


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
