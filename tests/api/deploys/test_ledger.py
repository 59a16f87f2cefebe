"""What is written down, by whom it may be, and where its copy goes."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from gtsd.__main__ import run as gtsd
from gtsd.deploys import lease, ledger
from gtsd.deploys.connection import transaction
from tests.api.deploys.conftest import HOLDER, Deploys, Log, acquired
from tests.api.migrate.support import Run, rows, until

FIRST = ("--event", "started", "--version", "1.4.0", "--previous", "1.3.0")
FIELDS = ["seq", "at", "event", "version", "previous", "holder", "token"]
SEALED = [*FIELDS, "details", "previous_hash"]


def reckoned(record: dict[str, Any]) -> str:
    """The hash of a record as the documentation has it, by this test's own hand."""
    text = json.dumps([record[name] for name in SEALED], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_record_is_kept_with_its_holder_and_the_hash_before(deploys: Deploys, token: str) -> None:
    """Each one is the next link of a chain that anybody can compute again."""
    first = deploys("record", "--token", token, *FIRST).facts
    second = deploys("record", "--token", token, "--event", "failed", "--version", "1.4.0").facts
    assert (first["seq"], first["holder"], first["previous"]) == (1, HOLDER, "1.3.0")
    assert (second["seq"], second["previous"], first["previous_hash"]) == (2, None, "0" * 64)
    assert second["previous_hash"] == first["hash"] == reckoned(first)
    assert second["hash"] == reckoned(second)
    kept = deploys("ledger").facts["records"]
    assert [{**record, "logged": True} for record in kept] == [first, second]
    assert deploys("ledger", "--limit", "1").facts["records"] == kept[1:]
    facts = {"intact": True, "records": 2, "newest_hash": second["hash"]}
    assert deploys("verify").facts == facts


def test_each_record_goes_to_the_log_as_one_line_that_proves_itself(
    deploys: Deploys, token: str, log: Log
) -> None:
    """Under the name gtsd-ledger; what is there, no owner of tables can change."""
    made = deploys("record", "--token", token, *FIRST).facts
    priority, _, line = log.line().partition(">")
    assert priority == "<13"
    ident, _, text = line.partition(": ")
    assert (ident, "\n" in text) == ("gtsd-ledger", False)
    assert {**json.loads(text), "logged": True} == made
    assert reckoned(json.loads(text)) == made["hash"]


def test_a_record_that_the_log_did_not_take_is_written_and_said(
    deploys: Deploys, token: str, log: Log
) -> None:
    """It happened all the same; the missing copy is no secret."""
    log.end()
    answer = deploys("record", "--token", token, *FIRST)
    assert (answer.status, answer.facts["logged"]) == (0, False)
    assert answer.errors.startswith("record 1 is written, but the log did not take it: ")
    assert len(deploys("ledger").facts["records"]) == 1


def stale_holder_writes(database_url: str, deploys: Deploys) -> bool:
    """Whether somebody can write whose lease has expired and been given to another."""
    old = acquired(deploys, ttl=1)
    until(lambda: deploys("lease").facts["state"] == "expired")
    new = acquired(deploys, "bob@ci release 1.5.0")
    answer = deploys("record", "--token", old, *FIRST)
    found = rows(database_url, "SELECT token FROM gtsd_deploys")
    assert (answer.status == 3) == (found == []), answer.errors
    if not found:
        assert answer.errors.startswith(f"lease {old} is stale: bob@ci took {new} at 20")
    return bool(found)


def test_a_holder_that_was_overtaken_cannot_write(database_url: str, deploys: Deploys) -> None:
    """However long it slept, and whatever it believes."""
    assert not stale_holder_writes(database_url, deploys)


def test_without_the_fence_it_would_write(
    database_url: str, deploys: Deploys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above."""
    monkeypatch.setattr(lease, "refuse_stale", lambda *_: None)
    assert stale_holder_writes(database_url, deploys)


def test_no_newer_token_is_given_out_while_a_record_is_being_written(
    database_url: str, deploys: Deploys
) -> None:
    """Between the check and the commit nobody can come in: they wait for the row."""
    token = acquired(deploys, ttl=1)
    until(lambda: deploys("lease").facts["state"] == "expired")
    with transaction(database_url, "record") as session:
        lease.hold(session, int(token))
        taking = Run(lambda _: acquired(deploys, "bob@ci release 1.5.0"))
        waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND"
        waiting = f"{waits} application_name = 'gtsd deploys acquire' AND wait_event_type = 'Lock'"
        until(lambda: rows(database_url, waiting) == [(1,)])
        assert taking.running
    taking.end()
    assert deploys("lease").facts["token"] == int(token) + 1


def test_a_released_lease_writes_nothing_more(deploys: Deploys, token: str) -> None:
    """Nor does one that never was; an expired one that nobody took still may."""
    assert deploys("record", "--token", "2", *FIRST).errors.startswith("lease 2 was never given")
    deploys("release", "--token", token)
    assert deploys("record", "--token", token, *FIRST).status == 3
    late = acquired(deploys, ttl=1)
    until(lambda: deploys("lease").facts["state"] == "expired")
    assert deploys("record", "--token", late, *FIRST).status == 0


@pytest.mark.parametrize(
    "given",
    [
        {"host": "app1", "seconds": 1.5, "tries": 3, "ok": True, "why": None},
        {"big": 1e22, "small": 1e-7, "whole": 12345678901234567890, "zero": -0.0},
        {"b": {"z": 1, "a": [1, {"y": 2, "x": 'é ☃ \U0001f600 \\ " \t'}]}, "aa": "", "a": []},
    ],
)
def test_details_have_the_same_hash_when_they_are_read_again(
    deploys: Deploys, token: str, tmp_path: Path, given: dict[str, Any]
) -> None:
    """Though PostgreSQL writes numbers and orders keys in its own way."""
    file = tmp_path / "details.json"
    file.write_text(json.dumps(given))
    words = ("record", "--token", token, *FIRST, "--details-from", str(file))
    made = deploys(*words).facts
    assert made["details"] == given
    assert deploys("verify").facts["intact"] is True
    assert reckoned(deploys("ledger").facts["records"][0]) == made["hash"]


def test_details_hashed_as_they_were_given_would_look_changed(
    deploys: Deploys, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above: 1e22 comes back as a whole number with all its zeros."""
    monkeypatch.setattr(ledger, "_as_kept", lambda _, details: details)
    file = tmp_path / "details.json"
    file.write_text('{"big": 1e22}')
    deploys("record", "--token", token, *FIRST, "--details-from", str(file))
    assert deploys("verify").status == 1


@pytest.mark.parametrize("text", ['"\\u0000"', '"\\ud800"'])
def test_details_that_the_database_cannot_keep_are_bad_usage(
    deploys: Deploys, token: str, tmp_path: Path, text: str
) -> None:
    """Exit code 2, with an example; nothing is written."""
    file = tmp_path / "details.json"
    file.write_text(f'{{"why": {text}}}')
    answer = deploys("record", "--token", token, *FIRST, "--details-from", str(file))
    assert answer.status == 2
    assert answer.errors.startswith("details: PostgreSQL cannot keep them")
    assert deploys("ledger").facts["records"] == []


def tell(deploys: Deploys, token: str, *events: Sequence[str]) -> None:
    """Write down events: each with its version, and perhaps the previous one."""
    for event, version, *previous in events:
        more = ["--previous", previous[0]] if previous else []
        words = ("--token", token, "--event", event, "--version", version, *more)
        assert deploys("record", *words).status == 0


def test_a_bad_release_is_bad_for_ever_and_never_started_again(
    deploys: Deploys, token: str, tmp_path: Path
) -> None:
    """Also when somebody says that it succeeded afterwards; a new version is a new release."""
    tell(deploys, token, ("started", "1.4.0"), ("succeeded", "1.4.0", "1.3.0"))
    assert deploys("status", "--version", "1.4.0").facts["versions"][0]["verdict"] == "good"
    why = tmp_path / "why.json"
    why.write_text('{"reason": "loses photos"}')
    words = ("--event", "marked_bad", "--version", "1.4.0", "--details-from", str(why))
    assert deploys("record", "--token", token, *words).status == 0
    tell(deploys, token, ("succeeded", "1.4.0"))
    answer = deploys("record", "--token", token, *FIRST)
    assert (answer.status, answer.facts["verdict"]) == (4, "bad")
    assert answer.errors.startswith("1.4.0 was marked bad at 20")
    assert answer.errors.endswith(
        " by anna@laptop (loses photos), and stays bad: build a new one. Nothing was done\n"
    )
    tell(deploys, token, ("started", "1.4.1"), ("reverted", "1.4.1", "1.3.0"))
    told = deploys("status").facts
    assert told["current"] == "1.3.0"
    assert [(v["version"], v["verdict"]) for v in told["versions"]] == [
        ("1.4.0", "bad"),
        ("1.4.1", "bad"),
    ]
    never = deploys("status", "--version", "2.0.0").facts["versions"]
    assert never[0]["verdict"] == "never released"


def test_people_get_the_same_in_words(deploys: Deploys, token: str, database_url: str) -> None:
    """Tables and sentences, without --json."""
    tell(deploys, token, ("started", "1.4.0", "1.3.0"), ("succeeded", "1.4.0", "1.3.0"))

    def text(*words: str) -> str:
        out = io.StringIO()
        assert gtsd(["deploys", *words], {"DATABASE_URL": database_url}, out, sys.stderr) == 0
        return out.getvalue()

    assert text("lease").startswith(f"{HOLDER} holds lease 1 until 20")
    table = text("ledger").splitlines()
    assert table[0].split() == FIELDS
    assert table[2].split()[2:5] == ["succeeded", "1.4.0", "1.3.0"]
    assert text("verify").startswith("2 records, each as it was written; the newest hash is ")
    assert text("status").splitlines()[1].startswith("1.4.0    good     20")
    failed = ("record", "--token", token, "--event", "failed", "--version", "1.5.0")
    assert text(*failed).startswith("record 3: 1.5.0 failed, hash ")
    assert text("renew", "--token", token).startswith("lease 1 is yours until 20")
    assert text("release", "--token", token) == "lease 1 is released\n"
    taken = text("acquire", "--holder", "bob@ci", "--purpose", "rollback", "--ttl", "1")
    assert taken.startswith("lease 2 is yours until 20")
    again = text("acquire", "--holder", "eve@ci", "--purpose", "release", "--wait", "30")
    assert "; it was taken over from bob@ci (lease 2 to rollback), who gave no sign of" in again


def test_the_time_of_a_record_is_the_databases(
    database_url: str, deploys: Deploys, token: str
) -> None:
    """And that of its commit order: a later record is never earlier."""
    for _ in range(3):
        tell(deploys, token, ("migrated", "1.4.0"))
    times = [datetime.fromisoformat(r["at"]) for r in deploys("ledger").facts["records"]]
    ((now,),) = rows(database_url, "SELECT clock_timestamp()")
    assert times == sorted(times)
    assert (now - times[0]).total_seconds() < 60


def test_only_one_lease_and_no_record_twice_can_be_in_the_tables(
    database_url: str, token: str
) -> None:
    """Whatever somebody does by hand."""
    assert token
    with pytest.raises(psycopg2.errors.UniqueViolation):
        rows(database_url, "INSERT INTO gtsd_deploy_lease DEFAULT VALUES")
    with pytest.raises(psycopg2.errors.CheckViolation):
        rows(database_url, "INSERT INTO gtsd_deploy_lease (only_one) VALUES (false)")
