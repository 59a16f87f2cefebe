"""Where the ledger and the folder disagree, and how a database's state is shown."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from gtsd.migrate import ledger, report
from gtsd.migrate.files import Migration, read_folder
from gtsd.migrate.ledger import Entry
from tests.api.migrate.support import Folder

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def migrations(folder: Folder) -> list[Migration]:
    """Three of them."""
    for name in ("0001_a", "0002_b", "0003_c"):
        folder.add(name, "SELECT 1;")
    return read_folder(folder.path)


def entry(migration: Migration) -> Entry:
    return Entry(
        migration.number, migration.name, "expand", migration.checksum, AT, "ann@db", 12, "1.4.0"
    )


def test_a_ledger_that_is_a_beginning_of_the_folder_is_in_order(
    migrations: list[Migration],
) -> None:
    """Whatever is behind it is pending."""
    for length in range(4):
        assert ledger.compare([entry(m) for m in migrations[:length]], migrations) == []


def test_each_way_to_disagree_has_its_sentence(migrations: list[Migration]) -> None:
    """Changed, renamed, missing and out of order are told together, each with what to do."""
    changed = entry(migrations[0])._replace(checksum="0" * 64)
    missing = entry(migrations[2])._replace(number=4, name="0004_d")
    new = migrations[0].checksum
    found = ledger.compare([changed, missing], migrations)
    assert [sentence.split(":")[0] for sentence in found] == [
        f"0001_a.sql was changed after it was applied (was {'0' * 12}, is {new[:12]})",
        "0004_d was applied at 2026-01-02 03",
        "0002_b is out of order",
        "0003_c is out of order",
    ]
    renamed = entry(migrations[0])._replace(name="0001_z")
    (sentence,) = ledger.compare([renamed], migrations)
    assert sentence == "number 0001 was applied as 0001_z, but is now 0001_a: a number is used once"


def test_status_has_a_record_for_every_number(migrations: list[Migration]) -> None:
    """Known to the folder, to the ledger or to both."""
    changed = entry(migrations[0])._replace(checksum="0" * 64)
    missing = entry(migrations[2])._replace(number=4, name="0004_d")
    records = report.status([changed, missing], migrations)
    assert [(r["name"], r["state"]) for r in records] == [
        ("0001_a", "file changed"),
        ("0002_b", "out of order"),
        ("0003_c", "out of order"),
        ("0004_d", "file missing"),
    ]
    records = report.status([entry(migrations[0])], migrations)
    assert [r["state"] for r in records] == ["applied", "pending", "pending"]


def test_status_is_a_table_for_people_and_json_for_programs(migrations: list[Migration]) -> None:
    """Both say the same."""
    records = report.status([entry(migrations[0])], migrations[:2])
    assert report.as_table(records).splitlines() == [
        "name    phase   state    applied_at                 duration_ms  applied_by  gtsd_version",
        "0001_a  expand  applied  2026-01-02T03:04:05+00:00  12           ann@db      1.4.0",
        "0002_b  expand  pending  -                          -            -           -",
    ]
    assert json.loads(report.as_json(records)) == records
