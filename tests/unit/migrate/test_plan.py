"""Which migrations a command is about."""

from __future__ import annotations

import pytest

from gtsd.migrate.errors import BadUsage, MigrationError
from gtsd.migrate.files import Migration, read_folder
from gtsd.migrate.plan import explain, select, select_undo
from tests.api.migrate.support import Folder


@pytest.fixture
def migrations(folder: Folder) -> list[Migration]:
    """Expand, expand, contract, expand."""
    for number, phase in enumerate(["expand", "expand", "contract", "expand"], 1):
        folder.add(f"{number:04}_m", "SELECT 1;", phase=phase)
    return read_folder(folder.path)


def numbers(chosen: list[Migration]) -> list[int]:
    return [migration.number for migration in chosen]


@pytest.mark.parametrize(
    ("applied", "to", "phase", "expected"),
    [
        (0, None, "all", [1, 2, 3, 4]),
        (1, 3, "all", [2, 3]),
        (3, 2, "all", []),
        (1, 3, "expand", [2]),
        (2, 3, "expand", []),
        (2, None, "contract", [3]),
        (4, None, "expand", []),
        (0, None, "expand", [1, 2, 3, 4]),
    ],
)
def test_up_takes_the_lowest_pending_ones_in_order(
    migrations: list[Migration], applied: int, to: int | None, phase: str, expected: list[int]
) -> None:
    """A phase takes the leading ones of its kind; on an empty database expand takes all."""
    chosen = select(migrations[applied:], to=to, phase=phase, applied=applied)
    assert numbers(chosen) == expected


@pytest.mark.parametrize(("applied", "phase"), [(2, "expand"), (1, "contract")])
def test_a_phase_never_jumps_over_the_other_one(
    migrations: list[Migration], applied: int, phase: str
) -> None:
    """New code on a shape that lacks one migration is worse than a deploy that stops."""
    with pytest.raises(MigrationError, match=r"comes after .*, which is not applied"):
        select(migrations[applied:], to=None, phase=phase, applied=applied)


def test_a_number_that_does_not_exist_is_bad_usage(migrations: list[Migration]) -> None:
    """A typing error must not look like nothing to do."""
    with pytest.raises(BadUsage, match="no migration 5: the highest is 4"):
        select(migrations, to=5, phase="all", applied=0)


@pytest.mark.parametrize(
    ("to", "steps", "expected"),
    [(0, None, [3, 2, 1]), (2, None, [3]), (3, None, []), (None, 2, [3, 2]), (None, 9, [3, 2, 1])],
)
def test_down_takes_the_newest_first(
    migrations: list[Migration], to: int | None, steps: int | None, expected: list[int]
) -> None:
    """Down to the number that stays, or as many steps as are given."""
    assert numbers(select_undo(migrations[:3], to=to, steps=steps)) == expected


@pytest.mark.parametrize(("to", "steps"), [(None, None), (1, 1), (-1, None), (None, -1)])
def test_down_without_a_clear_end_is_bad_usage(
    migrations: list[Migration], to: int | None, steps: int | None
) -> None:
    """It has no default: what it undoes is lost."""
    with pytest.raises(BadUsage):
        select_undo(migrations, to=to, steps=steps)


def test_a_plan_tells_files_phases_locks_and_statements(folder: Folder) -> None:
    """What is reviewed is what will run."""
    folder.add("0001_a", "CREATE TABLE a (\n  b text);", "DROP TABLE a;")
    folder.add("0002_b", "ANALYZE a;", "ANALYZE a;", phase="contract", none=True)
    migrations = read_folder(folder.path)
    assert explain(migrations).splitlines() == [
        "0001_a.sql  expand, in one transaction, lock: none",
        "    line 6: CREATE TABLE a ( b text)",
        "0002_b.sql  contract, statement by statement, lock: none",
        "    line 7: ANALYZE a",
    ]
    assert explain(migrations[:1], undo=True).splitlines() == [
        "0001_a.undo.sql  expand, in one transaction",
        "    line 1: DROP TABLE a",
    ]
    assert explain([]) == "nothing to do"
