"""A ledger that somebody changed by hand is found out, as far as that can be."""

from __future__ import annotations

import json

import psycopg2
import pytest
from psycopg2 import errors

from gtsd.deploys import chain
from gtsd.deploys.chain import digest
from gtsd.deploys.connection import transaction
from gtsd.deploys.ledger import read
from tests.api.deploys.conftest import Deploys, Log
from tests.api.migrate.support import rows

FREE = "ALTER TABLE gtsd_deploys DISABLE TRIGGER only_grows; "


@pytest.fixture
def five(deploys: Deploys, token: str, log: Log) -> list[str]:
    """Five records; the lines that the log has of them."""
    for event in ("started", "migrated", "succeeded", "contracted", "marked_bad"):
        words = ("--token", token, "--event", event, "--version", "1.4.0")
        assert deploys("record", *words).status == 0
    return [log.line() for _ in range(5)]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE gtsd_deploys SET version = '1.3.0' WHERE seq = 5",
        "UPDATE gtsd_deploys SET seq = 6 WHERE false",
        "DELETE FROM gtsd_deploys",
        "TRUNCATE gtsd_deploys",
    ],
)
def test_the_ledger_only_grows(database_url: str, five: list[str], sql: str) -> None:
    """For its owner, too; who first switches the trigger off can do all of it."""
    assert five
    with pytest.raises(
        errors.RestrictViolation, match="gtsd_deploys only grows: [A-Z]+ is refused"
    ):
        rows(database_url, sql)
    rows(database_url, FREE + sql)


COPY = (
    "INSERT INTO gtsd_deploys SELECT 6, at, event, version, previous, holder, token, details,"
    " previous_hash, hash FROM gtsd_deploys WHERE seq = 5"
)
SWAP = "UPDATE gtsd_deploys SET seq = {} WHERE seq = {}; "


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        *(
            (f"UPDATE gtsd_deploys SET {change} WHERE seq = 3", "record 3 was changed: ")
            for change in (
                "at = at + interval '1 microsecond'",
                "event = 'failed'",
                "version = '1.4.1'",
                "previous = '1.3.0'",
                "holder = 'eve@ci'",
                "token = 2",
                """details = '{"host": "app1"}'""",
                f"previous_hash = '{'0' * 64}'",
                f"hash = '{'0' * 64}'",
            )
        ),
        ("DELETE FROM gtsd_deploys WHERE seq = 1", "record 1 is missing"),
        ("DELETE FROM gtsd_deploys WHERE seq IN (2, 3)", "record 2 is missing, and all up to 3"),
        ("DELETE FROM gtsd_deploys WHERE seq = 5", "record 5 is missing"),
        ("DELETE FROM gtsd_deploys", "record 1 is missing, and all up to 5"),
        (
            SWAP.format(0, 2) + SWAP.format(2, 4) + SWAP.format(4, 0),
            "record 2 is out of order: it was written as record 4",
        ),
        (
            COPY,
            "record 6 is out of order: it was written as record 5",
        ),
    ],
)
def test_the_first_record_that_is_not_as_it_was_is_named(
    database_url: str, deploys: Deploys, five: list[str], sql: str, told: str
) -> None:
    """Changed, missing or out of order: exit code 1."""
    assert len(five) == 5
    assert deploys("verify").status == 0
    rows(database_url, FREE + sql)
    answer = deploys("verify")
    assert (answer.status, answer.facts["intact"]) == (1, False)
    assert answer.errors.startswith(f"the ledger is not intact: {told}")


def rehash(database_url: str, number: int, holder: str) -> None:
    """Change a record and compute its hash anew, as one can who knows how it is made."""
    with transaction(database_url, "test", snapshot=True) as session:
        record = read(session)[number - 1]._replace(holder=holder)
    sql = "UPDATE gtsd_deploys SET holder = %s, hash = %s WHERE seq = %s"
    rows(database_url, FREE + sql, holder, digest(record), number)


def test_a_record_with_a_new_hash_is_found_by_the_next_one(
    database_url: str, deploys: Deploys, five: list[str]
) -> None:
    """Which holds the old one."""
    assert five
    rehash(database_url, 3, "eve@ci")
    assert "record 4 does not follow the record before it" in deploys("verify").errors


def test_a_new_end_of_the_chain_is_found_by_the_copy_in_the_log_alone(
    database_url: str, deploys: Deploys, five: list[str]
) -> None:
    """What `verify` cannot see: hence it tells the newest hash, to be looked for in the log."""
    rehash(database_url, 5, "eve@ci")
    answer = deploys("verify")
    assert answer.status == 0
    copied = json.loads(five[-1].partition(": ")[2])
    assert answer.facts["newest_hash"] != copied["hash"]


def test_hashes_of_less_than_everything_would_miss_a_change(
    database_url: str, deploys: Deploys, five: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a chain over the numbers alone is content with another version."""
    assert five
    rows(database_url, FREE + "UPDATE gtsd_deploys SET version = '1.4.1' WHERE seq = 3")
    assert deploys("verify").status == 1
    with transaction(database_url, "test", snapshot=True) as session:
        hashes = {record.seq: record.hash for record in read(session)}
    monkeypatch.setattr(chain, "digest", lambda record: hashes[record.seq])
    assert deploys("verify").status == 0


def test_a_broken_ledger_can_still_be_written_and_stays_broken(
    database_url: str, deploys: Deploys, five: list[str], token: str
) -> None:
    """A release must not stop because of it, nor may it heal."""
    assert five
    rows(database_url, FREE + "DELETE FROM gtsd_deploys WHERE seq = 5")
    more = deploys("record", "--token", token, "--event", "failed", "--version", "1.5.0")
    assert more.facts["seq"] == 6
    assert "record 5 is missing" in deploys("verify").errors


def test_the_trigger_works_for_a_replica_too(database_url: str, five: list[str]) -> None:
    """Who pretends to be one skips other triggers."""
    assert five
    connection = psycopg2.connect(database_url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT tgenabled FROM pg_trigger WHERE tgname = 'only_grows'")
        assert cursor.fetchall() == [("A",)]
    connection.close()
