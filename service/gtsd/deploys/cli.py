"""``gtsd deploys``: does what its options say, and tells it to people or programs."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TextIO

import psycopg2

from gtsd.deploys import copies, lease, ledger, options
from gtsd.deploys.chain import first_break, iso
from gtsd.deploys.connection import Session, transaction
from gtsd.deploys.errors import BadUsage, DeployError, Refused
from gtsd.deploys.history import Story, serving, stories
from gtsd.deploys.lease import Acquired, Lease
from gtsd.deploys.schema_cli import COMMANDS as SCHEMA_COMMANDS
from gtsd.deploys.told import Told
from gtsd.migrate.connection import said
from gtsd.migrate.errors import MigrationError
from gtsd.migrate.owner import owner_settings
from gtsd.migrate.report import aligned

register = options.register

# How often somebody who waits for the lease asks again, in seconds.
_PAUSE = 0.5
_LEDGER_COLUMNS = ("seq", "at", "event", "version", "previous", "holder", "token")
_STATUS_COLUMNS = ("version", "verdict", "released_at", "bad_since", "last_event")


class _Call(NamedTuple):
    args: argparse.Namespace
    database_url: str
    errors: TextIO


def main(args: argparse.Namespace, environ: Mapping[str, str], out: TextIO, errors: TextIO) -> int:
    """Do what the parsed arguments say; returns the exit code. Raises SettingsError."""
    call = _Call(args, owner_settings(environ).database_url, errors)
    try:
        told = _run(call)
    except DeployError as error:
        return _failed(call, out, str(error), error.exit_code, error.facts)
    except MigrationError as error:
        return _failed(call, out, str(error), error.exit_code, {})
    except psycopg2.Error as error:
        what = (
            f"the database said: {said(error)}. `gtsd deploys lease` and `ledger` tell what is done"
        )
        return _failed(call, out, what, DeployError.exit_code, {})
    out.write((_json(told.facts) if args.json else told.text) + "\n")
    return 0


def _run(call: _Call) -> Told:
    name = call.args.deploys_command
    if name in _OWN_TRANSACTIONS:
        return _OWN_TRANSACTIONS[name](call)
    read = {**_READING, **SCHEMA_COMMANDS}[name]
    with transaction(call.database_url, name, snapshot=True) as session:
        return read(session, call.args)


def _failed(
    call: _Call, out: TextIO, message: str, exit_code: int, facts: Mapping[str, Any]
) -> int:
    call.errors.write(message + "\n")
    if call.args.json:
        out.write(_json({"error": message, **facts}) + "\n")
    return exit_code


def _json(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, indent=2)


def _acquire(call: _Call) -> Told:
    args = call.args
    ends = time.monotonic() + args.wait
    while True:
        try:
            with transaction(call.database_url, "acquire") as session:
                got = lease.acquire(session, args.holder, args.purpose, args.ttl)
            return _acquired(got)
        except Refused:
            left = ends - time.monotonic()
            if left <= 0:
                raise
            time.sleep(min(_PAUSE, left))


def _acquired(got: Acquired) -> Told:
    before = got.taken_over
    text = f"lease {got.lease.token} is yours until {iso(got.lease.expires_at)}"
    if before is not None:
        text += (
            f"; it was taken over from {before.who} (lease {before.token} to {before.what}), who"
            f" gave no sign of life since {iso(before.heartbeat_at)}"
        )
    over = None if before is None else _lease_facts(before)
    return Told({**_lease_facts(got.lease), "taken_over": over}, text)


def _renew(call: _Call) -> Told:
    with transaction(call.database_url, "renew") as session:
        kept = lease.renew(session, call.args.token, call.args.ttl)
    return Told(_lease_facts(kept), f"lease {kept.token} is yours until {iso(kept.expires_at)}")


def _release(call: _Call) -> Told:
    with transaction(call.database_url, "release") as session:
        given = lease.release(session, call.args.token)
    return Told(_lease_facts(given), f"lease {given.token} is released")


def _record(call: _Call) -> Told:
    args = call.args
    details = options.details(args.details_from)
    if args.event == "switched" and not isinstance(details.get("host"), str):
        raise BadUsage(
            'switched: the details must name the host: {"host": "app1"}. Nothing was done'
        )
    with transaction(call.database_url, "record") as session:
        made = ledger.record(session, args.token, args.event, args.version, args.previous, details)
    # Of what is committed only; without its copy it is no less true.
    logged = True
    try:
        copies.send(made)
    except OSError as error:
        logged = False
        call.errors.write(f"record {made.seq} is written, but the log did not take it: {error}\n")
    text = f"record {made.seq}: {made.version} {made.event}, hash {made.hash}"
    return Told({**made.as_json(), "logged": logged}, text)


def _lease(session: Session, _: argparse.Namespace) -> Told:
    found, now = lease.look(session)
    if found is None:
        return Told({"state": "free", "token": None}, "the lease is free; nobody ever had it")
    state = found.state(now)
    sentences = {
        "held": f"{found.holder} holds lease {found.token} until {iso(found.expires_at)}",
        "expired": f"lease {found.token} of {found.holder} expired at {iso(found.expires_at)}",
        "free": f"the lease is free; the last one, {found.token}, was that of {found.holder}",
    }
    return Told({**_lease_facts(found), "state": state, "now": iso(now)}, sentences[state])


def _lease_facts(found: Lease) -> dict[str, Any]:
    return {
        "token": found.token,
        "holder": found.holder,
        "purpose": found.purpose,
        "acquired_at": iso(found.acquired_at),
        "heartbeat_at": iso(found.heartbeat_at),
        "expires_at": iso(found.expires_at),
        "released_at": None if found.released_at is None else iso(found.released_at),
    }


def _ledger(session: Session, args: argparse.Namespace) -> Told:
    records = [record.as_json() for record in ledger.read(session)[-args.limit :]]
    text = aligned(_LEDGER_COLUMNS, records) if records else "nothing was recorded yet"
    return Told({"records": records}, text)


def _verify(session: Session, _: argparse.Namespace) -> Told:
    records, recorded = ledger.read(session), ledger.recorded(session)
    newest = records[-1].hash if records else None
    facts = {"records": len(records), "newest_hash": newest}
    broken = first_break(records, recorded)
    if broken is not None:
        raise DeployError(f"the ledger is not intact: {broken}", intact=False, **facts)
    text = f"{len(records)} records, each as it was written"
    text += f"; the newest hash is {newest}" if newest else ""
    return Told({"intact": True, **facts}, text)


def _status(session: Session, args: argparse.Namespace) -> Told:
    records = ledger.read(session)
    known = stories(records)
    wanted = list(known.values())
    if args.version is not None:
        wanted = [known.get(args.version, Story(args.version))]
    versions = [_story_facts(story) for story in wanted]
    text = aligned(_STATUS_COLUMNS, versions) if versions else "nothing was released yet"
    return Told({"current": serving(records), "versions": versions}, text)


def _story_facts(story: Story) -> dict[str, Any]:
    return {
        "version": story.version,
        "verdict": story.verdict,
        "released_at": None if story.released_at is None else iso(story.released_at),
        "bad_since": None if story.bad_since is None else iso(story.bad_since),
        "why_bad": story.why_bad,
        "last_event": story.last_event,
    }


_OWN_TRANSACTIONS: dict[str, Callable[[_Call], Told]] = {
    "acquire": _acquire,
    "renew": _renew,
    "release": _release,
    "record": _record,
}
_READING: dict[str, Callable[[Session, argparse.Namespace], Told]] = {
    "lease": _lease,
    "ledger": _ledger,
    "verify": _verify,
    "status": _status,
}
