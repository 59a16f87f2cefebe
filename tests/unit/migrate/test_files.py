"""The folder of migrations: what is accepted, and what is said of the rest."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from gtsd.migrate.errors import BadFiles
from gtsd.migrate.files import read_folder
from tests.api.migrate.support import Folder


def problems(folder: Folder) -> list[tuple[str, str]]:
    with pytest.raises(BadFiles) as caught:
        read_folder(folder.path)
    assert caught.value.exit_code == 2
    assert all(problem.example for problem in caught.value.problems)
    assert str(caught.value).count("example: ") == len(caught.value.problems)
    return [(problem.file, problem.problem) for problem in caught.value.problems]


def test_migrations_are_read_in_the_order_of_their_numbers(folder: Folder) -> None:
    """The checksum is that of the bytes of the file that goes up."""
    folder.add("0002_b", "SELECT 2;", phase="contract").add("0001_a", "SELECT 1;", none=False)
    folder.write("schema.sql", "a dump").write("README.md", "words")
    first, second = read_folder(folder.path)
    assert [(m.number, m.name, m.phase) for m in (first, second)] == [
        (1, "0001_a", "expand"),
        (2, "0002_b", "contract"),
    ]
    assert first.checksum == hashlib.sha256((folder.path / "0001_a.sql").read_bytes()).hexdigest()
    assert first.up.name == first.undo.name == "0001_a"


def test_a_header_goes_on_over_several_lines(folder: Folder) -> None:
    """A line without a key belongs to the one above it; the first line without dashes ends it."""
    folder.add("0001_a", "SELECT 1;")
    folder.write(
        "0001_a.sql",
        "-- a title of no meaning\n-- purpose: one\n--   two\n-- phase: expand\n-- undo: x\n"
        "-- lock: Access Exclusive on a\nSELECT 1; -- phase: nonsense\n-- lock: nonsense\n",
    )
    (migration,) = read_folder(folder.path)
    assert migration.up.headers["purpose"] == "one two"
    assert migration.lock == "Access Exclusive on a"


def test_every_problem_of_every_file_is_told_at_once(folder: Folder) -> None:
    """One round of editing must be enough."""
    folder.write("0001_a.sql", "-- purpose:\n-- phase: extend\n-- lock: heavy\n-- because: x\n")
    folder.write("0001_a.undo.sql", "SELECT 'open")
    folder.add("0003_c", "SELECT 1;").write("3_d.sql", "SELECT 1;")
    assert problems(folder) == [
        ("0001_a.sql", "header 'lock' has no valid value: 'heavy'"),
        ("0001_a.sql", "header 'phase' has no valid value: 'extend'"),
        ("0001_a.sql", "header 'purpose' has no valid value: ''"),
        ("0001_a.sql", "header 'undo' is missing"),
        ("0001_a.sql", "there is no statement in it"),
        ("0001_a.sql", "unknown header 'because'"),
        ("0001_a.undo.sql", "a quote or comment opened in line 1 is never closed"),
        ("0003_c.sql", "number 0002 is missing before it"),
        ("3_d.sql", "the name is not NNNN_name.sql"),
    ]


def test_numbers_are_used_once_and_begin_at_one(folder: Folder) -> None:
    """Two branches that took the same number meet here, not in the database."""
    folder.add("0000_z", "SELECT 1;").add("0001_a", "SELECT 1;").add("0001_b", "SELECT 1;")
    assert problems(folder) == [
        ("0000_z.sql", "numbers begin at 0001"),
        ("0001_b.sql", "number 0001 is taken by 0001_a.sql"),
        ("0001_b.undo.sql", "number 0001 is taken by 0001_a.undo.sql"),
    ]


def test_each_migration_has_its_undo(folder: Folder) -> None:
    """And each undo its migration, under the same name."""
    folder.add("0001_a", "SELECT 1;").add("0002_b", "SELECT 1;").add("0003_c", "SELECT 1;")
    (folder.path / "0001_a.undo.sql").unlink()
    (folder.path / "0002_b.sql").unlink()
    (folder.path / "0003_c.undo.sql").rename(folder.path / "0003_x.undo.sql")
    assert problems(folder) == [
        ("0001_a.sql", "0001_a.undo.sql is missing"),
        ("0002_b.undo.sql", "0002_b.sql is missing"),
        ("0003_x.undo.sql", "its name does not go with 0003_c.sql"),
    ]


def test_a_header_counts_once(folder: Folder) -> None:
    """Which of the two would be believed is not for the reader to guess."""
    folder.add("0001_a", "SELECT 1;")
    path = folder.path / "0001_a.sql"
    path.write_text("-- phase: contract\n" + path.read_text())
    assert problems(folder) == [("0001_a.sql", "header 'phase' is there twice")]


@pytest.mark.parametrize(
    "statement",
    [
        "BEGIN",
        "commit",
        "SAVEPOINT a",
        "SET lock_timeout = 0",
        "SET LOCAL statement_timeout TO 0",
        "RESET ALL",
        "SELECT set_config('lock_timeout', '0', true)",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON a (b)",
        "DROP INDEX CONCURRENTLY IF EXISTS i",
        "VACUUM a",
    ],
)
def test_what_the_runner_decides_is_no_matter_of_a_file(folder: Folder, statement: str) -> None:
    """No file opens a transaction, lifts the limit on locks, or needs what it has not asked for."""
    folder.add("0001_a", f"SELECT 1;\n{statement};")
    ((file, problem),) = problems(folder)
    assert file == "0001_a.sql"
    assert problem.startswith("line 7: ")


@pytest.mark.parametrize(
    ("statement", "accepted"),
    [
        ("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON a (b)", True),
        ("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON a (b)", True),
        ("DROP INDEX CONCURRENTLY IF EXISTS i", True),
        ("ALTER TABLE a VALIDATE CONSTRAINT c", True),
        ("ANALYZE a", True),
        ("CREATE INDEX CONCURRENTLY i ON a (b)", False),
        ("CREATE INDEX CONCURRENTLY ON a (b)", False),
        ("DROP INDEX CONCURRENTLY i", False),
        ("ALTER TABLE a VALIDATE CONSTRAINT c, ADD COLUMN d text", False),
        ("CREATE TABLE b (c text)", False),
        ("INSERT INTO a VALUES (1)", False),
    ],
)
def test_outside_a_transaction_only_what_can_be_repeated_is_accepted(
    folder: Folder, statement: str, accepted: bool
) -> None:
    """A kill in the middle is mended by doing it again."""
    folder.add("0001_a", f"{statement};", "DROP INDEX CONCURRENTLY IF EXISTS i;", none=True)
    if accepted:
        assert not read_folder(folder.path)[0].up.in_transaction
    else:
        ((_, problem),) = problems(folder)
        assert "cannot be repeated after a kill" in problem


def test_a_file_that_is_not_utf8_is_told(folder: Folder) -> None:
    """The server would refuse it in the middle of a run."""
    folder.add("0001_a", "SELECT 1;")
    (folder.path / "0001_a.undo.sql").write_bytes(b"SELECT '\xe4';")
    assert problems(folder) == [("0001_a.undo.sql", "it is not UTF-8")]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """An empty one is fine: nothing to do."""
    with pytest.raises(BadFiles, match="no such folder"):
        read_folder(tmp_path / "absent")
    assert read_folder(tmp_path) == []
