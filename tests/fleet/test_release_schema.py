"""What the schema forbids is refused: old code after a contract, and a contract before its time."""

from __future__ import annotations

import pytest

from tests.fleet.machines.places import PROJECT
from tests.fleet.machines.tested import TestedFleet
from tests.fleet.releasing import Edit, build, current, processes

# Nothing can follow: no release without these migrations, and no site.yml of the inventory's.
pytestmark = [pytest.mark.last, pytest.mark.beside, pytest.mark.timeout(900)]

_NUMBER = len(list((PROJECT / "migrations").glob("*.undo.sql"))) + 1
_NAME = f"{_NUMBER:04}_nothing_needed"
CONTRACT = [
    Edit(
        f"migrations/{_NAME}.sql",
        "-- purpose: takes nothing away, as far as code could tell\n-- phase: contract\n"
        "-- lock: SHARE UPDATE EXCLUSIVE on tasks (instant)\n-- undo: takes the comment away\n\n"
        "COMMENT ON TABLE tasks IS 'what people do';\n",
    ),
    Edit(f"migrations/{_NAME}.undo.sql", "COMMENT ON TABLE tasks IS NULL;\n"),
]
QUICK = ("-e", "release_probe=false")


def test_a_contract_binds_releases(fleet: TestedFleet) -> None:
    """Refused while older code runs; once applied, nobody goes back to that."""
    (before,) = set(current(fleet).values())
    version = build(fleet, CONTRACT)
    contract = ("-e", f"version={version}", "-e", "phase=contract", *QUICK)

    early = fleet.play("release.yml", *contract)
    assert early.rc != 0
    assert _NAME in early.stdout
    assert before in early.stdout

    forward = fleet.play("release.yml", "-e", f"version={version}", *QUICK)
    assert forward.rc == 0, forward.stdout[-3000:]
    running = processes(fleet)
    applied = fleet.play("release.yml", *contract)
    assert applied.rc == 0, applied.stdout[-3000:]
    assert processes(fleet) == running

    back = fleet.play("rollback.yml")
    assert back.rc != 0
    assert f"it needs what {_NAME} took away" in back.stdout, back.stdout[-3000:]
    assert set(current(fleet).values()) == {version}


def test_a_team_may_run_migrations_by_hand(fleet: TestedFleet) -> None:
    """A release waits for them, and says what to run."""
    number = _NUMBER + 1
    name = f"{number:04}_a_note"
    version = build(
        fleet,
        [
            *CONTRACT,
            Edit(
                f"migrations/{name}.sql",
                "-- purpose: a note\n-- phase: expand\n"
                "-- lock: ACCESS EXCLUSIVE on tasks (no rewrite)\n-- undo: drops the note\n\n"
                "ALTER TABLE tasks ADD COLUMN IF NOT EXISTS note text;\n",
            ),
            Edit(f"migrations/{name}.undo.sql", "ALTER TABLE tasks DROP COLUMN note;\n"),
        ],
    )
    chosen = ("-e", f"version={version}", "-e", "release_migrates=false", *QUICK)
    early = fleet.play("release.yml", *chosen)
    assert early.rc != 0
    assert f"{name} are due" in early.stdout, early.stdout[-3000:]
    shown = fleet.play("migrate.yml", "-e", f"version={version}", "--check")
    assert shown.rc == 0, shown.stdout[-3000:]
    assert "ACCESS EXCLUSIVE on tasks" in shown.stdout
    by_hand = fleet.play("migrate.yml", "-e", f"version={version}")
    assert by_hand.rc == 0, by_hand.stdout[-3000:]
    assert fleet.play("release.yml", *chosen).rc == 0
    assert set(current(fleet).values()) == {version}
