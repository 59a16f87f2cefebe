"""The commands that say which code may run on which schema, and so where a rollback may go."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from gtsd.deploys import ledger
from gtsd.deploys.connection import Session
from gtsd.deploys.errors import BadUsage, Forbidden
from gtsd.deploys.history import stories
from gtsd.deploys.releases import Releases, shipped
from gtsd.deploys.rollback import choose
from gtsd.deploys.told import Told
from gtsd.migrate import ledger as migrations_ledger
from gtsd.migrate.files import read_folder


def _target(session: Session, args: argparse.Namespace) -> Told:
    applied = migrations_ledger.read(session)
    known = stories(ledger.read(session))
    releases = Releases(args.releases_folder, list(known))
    choice = choose(
        args.current, args.available, known, lambda v: releases.unfit(v, applied), args.to
    )
    lines = [f"{version} was passed over: {why}" for version, why in choice.passed_over]
    facts = {
        "target": choice.target,
        "current": args.current,
        "passed_over": [each._asdict() for each in choice.passed_over],
    }
    if choice.target is None:
        nothing = f"there is no release that {args.current} can be rolled back to"
        if args.to is not None:
            nothing = f"{args.current} cannot be rolled back to {args.to}"
        told = "\n".join([f"{nothing}. Nothing was done", *lines])
        raise Forbidden(told, **facts)
    return Told(facts, "\n".join([choice.target, *lines]))


def _tolerates(session: Session, args: argparse.Namespace) -> Told:
    _refuse_no_folder(args)
    applied = migrations_ledger.read(session)
    releases = Releases(args.releases_folder, list(stories(ledger.read(session))))
    why = releases.unfit_folder(args.folder, applied)
    if why is not None:
        told = f"the code of {args.folder} cannot run on this schema: {why}"
        raise Forbidden(told, tolerates=False)
    contracts = [entry.name for entry in applied if entry.phase == "contract"]
    text = (
        f"the code of {args.folder} can run: it knows of all {len(contracts)} contract migrations"
    )
    return Told({"tolerates": True, "contracts": contracts}, text)


def _contract_check(session: Session, args: argparse.Namespace) -> Told:
    _refuse_no_folder(args)
    migrations = read_folder(args.folder)
    pending = migrations_ledger.pending(session, migrations)
    contracts = [migration.name for migration in pending if migration.phase == "contract"]
    releases = Releases(args.releases_folder, list(stories(ledger.read(session))))
    lacking = {v: _lacking(releases, v, contracts) for v in [*args.running, *releases.versions]}
    running = {v: why for v, why in lacking.items() if why is not None and v in args.running}
    facts = {"pending": contracts, "running": running}
    if running:
        told = [f"{version} runs, and {why}" for version, why in running.items()]
        what = "the contract migrations may not be applied yet. Nothing was done"
        raise Forbidden("\n".join([what, *told]), allowed=False, **facts)
    warnings = [
        f"{version} cannot be rolled back to afterwards: {why}"
        for version, why in lacking.items()
        if why is not None and version not in args.running
    ]
    text = f"{len(contracts)} contract migrations may be applied"
    return Told({"allowed": True, **facts, "warnings": warnings}, "\n".join([text, *warnings]))


def _lacking(releases: Releases, version: str, contracts: list[str]) -> str | None:
    """Why these may not be applied while that release runs."""
    if not contracts:
        return None
    path = releases.migrations(version)
    names = shipped(path)
    if names is None:
        return f"nobody can tell what it needs: there is no folder {path}"
    missing = [name for name in contracts if name not in names]
    return f"it needs what {', '.join(missing)} would take away" if missing else None


def _refuse_no_folder(args: argparse.Namespace) -> None:
    if not args.folder.is_dir():
        example = "/opt/gtsd/releases/1.4.0/migrations"
        raise BadUsage(f"--folder: there is no folder {args.folder}. Example: {example}")


COMMANDS: dict[str, Callable[[Session, argparse.Namespace], Told]] = {
    "target": _target,
    "tolerates": _tolerates,
    "contract-check": _contract_check,
}
