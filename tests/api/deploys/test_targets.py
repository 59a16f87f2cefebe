"""Where a rollback may go, and when contract migrations may run, on a schema that is there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gtsd.migrate import runner
from tests.api.deploys.conftest import Deploys
from tests.api.migrate.support import Folder

CONTRACT = "0003_drop_old"


class Fleet:
    """Releases as they are unpacked on a host: each ships the migrations up to a number."""

    def __init__(self, place: Path, database_url: str) -> None:
        self.place = place / "releases"
        self._url = database_url
        self._all = Folder(place / "all")
        self._all.add("0001_a", "CREATE TABLE a (old int, new int);")
        self._all.add("0002_b", "CREATE TABLE b (x int);")
        self._all.add(CONTRACT, "ALTER TABLE a DROP COLUMN old;", phase="contract")
        self._all.add("0004_c", "CREATE TABLE c (x int);")

    def unpack(self, version: str, head: int) -> None:
        """A release of which the newest migration has that number."""
        folder = self.migrations(version)
        folder.mkdir(parents=True)
        for file in self._all.path.iterdir():
            if int(file.name[:4]) <= head:
                shutil.copy(file, folder)

    def migrations(self, version: str) -> Path:
        """Where its files are."""
        return self.place / version / "migrations"

    def migrate(self, version: str, phase: str) -> None:
        """What the release's own command does."""
        options = runner.Options(version=version)
        runner.up(self._url, self.migrations(version), phase=phase, options=options)


@pytest.fixture
def fleet(tmp_path: Path, database_url: str) -> Fleet:
    """1.1.0 to 1.4.0; the third ships what takes away a column, and it is not applied yet."""
    fleet = Fleet(tmp_path, database_url)
    for version, head in (("1.1.0", 1), ("1.2.0", 2), ("1.3.0", 3), ("1.4.0", 4)):
        fleet.unpack(version, head)
    fleet.migrate("1.2.0", "expand")
    return fleet


@pytest.fixture
def released(deploys: Deploys, token: str) -> None:
    """All four have served, in that order."""
    for version in ("1.1.0", "1.2.0", "1.3.0", "1.4.0"):
        words = ("--token", token, "--event", "succeeded", "--version", version)
        assert deploys("record", *words).status == 0


def target(deploys: Deploys, fleet: Fleet, *more: str, available: str = "1.1.0,1.2.0,1.3.0") -> str:
    """The target, or why there is none."""
    words = ("--current", "1.4.0", "--available", available, *more)
    answer = deploys("target", *words, "--releases-folder", str(fleet.place))
    assert answer.status == (0 if answer.facts["target"] else 4)
    return answer.facts["target"] or answer.errors


@pytest.mark.usefixtures("released")
def test_a_rollback_goes_to_the_newest_good_one_that_is_there(
    deploys: Deploys, fleet: Fleet, token: str
) -> None:
    """Or to the one that was named; who was passed over is named with the reason."""
    assert target(deploys, fleet) == "1.3.0"
    assert target(deploys, fleet, "--to", "1.1.0") == "1.1.0"
    assert target(deploys, fleet, available="1.1.0,1.2.0") == "1.2.0"
    words = ("--token", token, "--event", "marked_bad", "--version", "1.3.0")
    assert deploys("record", *words).status == 0
    assert target(deploys, fleet) == "1.2.0"
    given = ("--current", "1.4.0", "--available", "1.3.0,1.1.0,0.9.0")
    answer = deploys("target", *given, "--releases-folder", str(fleet.place))
    assert answer.facts["target"] == "1.1.0"
    assert [each["version"] for each in answer.facts["passed_over"]] == ["0.9.0", "1.3.0", "1.2.0"]
    reasons = [each["why"] for each in answer.facts["passed_over"]]
    assert reasons[0] == "it was never released: the ledger has no success of it"
    assert reasons[1].startswith("it is bad: 1.3.0 was marked bad at 20")
    assert reasons[2] == "it is not on the hosts (0.9.0, 1.1.0, 1.3.0 is)"
    told = target(deploys, fleet, "--to", "1.3.0")
    assert told.startswith(
        "1.4.0 cannot be rolled back to 1.3.0. Nothing was done\n1.3.0 was passed"
    )


@pytest.mark.usefixtures("released")
def test_after_a_contract_only_code_that_ships_it_can_run(deploys: Deploys, fleet: Fleet) -> None:
    """The reason names the migration, when it was applied, and the oldest release that can."""
    fleet.migrate("1.3.0", "contract")
    assert target(deploys, fleet) == "1.3.0"
    told = target(deploys, fleet, available="1.1.0,1.2.0")
    assert told.startswith(
        "there is no release that 1.4.0 can be rolled back to. Nothing was done\n"
    )
    assert f"1.2.0 was passed over: it needs what {CONTRACT} took away at 20" in told
    assert "(applied by gtsd 1.3.0)" in told
    assert told.count("the oldest that does is 1.3.0") == 2
    for version, status in (("1.2.0", 4), ("1.3.0", 0), ("1.4.0", 0)):
        words = ("--folder", str(fleet.migrations(version)))
        answer = deploys("tolerates", *words, "--releases-folder", str(fleet.place))
        assert (version, answer.status) == (version, status)
        assert answer.facts["tolerates"] is (status == 0)
    shutil.rmtree(fleet.place / "1.3.0")
    shutil.rmtree(fleet.place / "1.4.0")
    assert "of the releases here none does" in target(deploys, fleet, available="1.2.0")
    gone = target(deploys, fleet, "--to", "1.3.0")
    assert f"nobody can tell what schema it needs: there is no folder {fleet.place}/1.3.0" in gone


def test_a_contract_waits_until_no_code_runs_that_needs_the_old_shape(
    deploys: Deploys, fleet: Fleet
) -> None:
    """What it makes impossible to go back to is told, and no hindrance."""

    def check(running: str, ships: str) -> tuple[int, str, list[str]]:
        words = ("--running", running, "--folder", str(fleet.migrations(ships)))
        answer = deploys("contract-check", *words, "--releases-folder", str(fleet.place))
        return answer.status, answer.errors, answer.facts.get("warnings", [])

    status, told, _ = check("1.2.0,1.3.0", "1.3.0")
    assert status == 4
    assert f"1.2.0 runs, and it needs what {CONTRACT} would take away" in told
    assert "1.3.0 runs" not in told
    status, _, warnings = check("1.3.0", "1.3.0")
    assert status == 0
    assert [warning.split(" ")[0] for warning in warnings] == ["1.1.0", "1.2.0"]
    assert all("cannot be rolled back to afterwards" in warning for warning in warnings)
    status, told, _ = check("1.3.0,1.0.9", "1.3.0")
    assert (status, "1.0.9 runs, and nobody can tell what it needs" in told) == (4, True)
    fleet.migrate("1.3.0", "contract")
    assert check("1.1.0", "1.3.0") == (0, "", [])


def test_nothing_contracted_forbids_nothing(deploys: Deploys, fleet: Fleet) -> None:
    """Before the first lease, and on an empty database, too."""
    for version in ("1.1.0", "1.4.0"):
        words = ("--folder", str(fleet.migrations(version)))
        assert deploys("tolerates", *words).facts == {"tolerates": True, "contracts": []}


def test_files_that_are_not_the_databases_are_refused_as_migrate_does(
    deploys: Deploys, fleet: Fleet
) -> None:
    """With migrate's own words and exit code."""
    file = fleet.migrations("1.3.0") / "0001_a.sql"
    file.write_text(file.read_text() + "\n")
    words = ("--running", "1.3.0", "--folder", str(fleet.migrations("1.3.0")))
    answer = deploys("contract-check", *words)
    assert answer.status == 4
    assert answer.facts["error"].startswith("0001_a.sql was changed after it was applied")


def test_a_folder_that_is_not_there_is_bad_usage(deploys: Deploys, fleet: Fleet) -> None:
    """Otherwise a slip in a path would look like a schema that forbids something."""
    gone = str(fleet.migrations("9.9.9"))
    for words in (("tolerates",), ("contract-check", "--running", "1.3.0")):
        answer = deploys(*words, "--folder", gone)
        assert answer.status == 2
        assert answer.errors.startswith(f"--folder: there is no folder {gone}. Example: /opt/")
