"""The matrix is red where two releases do not go together, and green where they do."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.versions.suite import LEFT_OUT, ROOT
from tests.versions.throwaway import Repository

# One that signs a person up, which runs what the changes below are about.
_TESTS = "-n 0 tests/api/accounts/test_my_account.py -k test_fields_are_changed"
_ADD = ("ALTER TABLE users ADD COLUMN nickname text", "ALTER TABLE users DROP COLUMN nickname")
_ROW = re.compile(r"^(ok|FAILED) +\d+ s  (.*)$", re.MULTILINE)


class Said(NamedTuple):
    """What `make test-versions` came to: exit status, verdict by trial, and all of its text."""

    status: int
    verdicts: list[str]
    text: str


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Our own code as release 0.1.0, to which a release is added."""
    made = Repository(tmp_path / "repository")
    made.fill(ROOT)
    return made


@pytest.fixture
def matrix(repository: Repository) -> Callable[[], Said]:
    """Run it for the repository, with few tests."""

    def run() -> Said:
        command = [sys.executable, "-m", "tests.versions.suite", "--tests", _TESTS]
        done = subprocess.run(
            [*command, "--checkout", repository.folder],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip
        text = done.stdout + done.stderr
        return Said(done.returncode, [verdict for verdict, _ in _ROW.findall(text)], text)

    return run


def read_nickname(repository: Repository, *, no_more: bool = False) -> None:
    """Code that wants a column, or does so no more."""
    old = 'u.meals_per_day AS "mealsPerDay",'
    new = f"{old} u.nickname,"
    repository.replace("service/gtsd/accounts/queries.py", *((new, old) if no_more else (old, new)))


pytestmark = pytest.mark.timeout(300)


def test_code_that_needs_what_an_expand_migration_brings_is_green(
    repository: Repository, matrix: Callable[[], Said]
) -> None:
    """The usual release: old code does not see the column; new code has it, as in `make test`."""
    repository.commit("0.1.0")
    repository.migration("nickname", "expand", *_ADD)
    read_nickname(repository)
    repository.commit("0.2.0")
    said = matrix()
    assert (said.status, said.verdicts) == (0, ["ok"]), said.text
    assert "0.2.0 has no new migration of contract" in said.text


def test_an_expand_migration_that_takes_what_old_code_reads_is_red(
    repository: Repository, matrix: Callable[[], Said]
) -> None:
    """Our own tests do not tell: only the old ones, with the old code, do."""
    repository.migration("nickname", "expand", *_ADD)
    read_nickname(repository)
    repository.commit("0.1.0")
    repository.git("tag", "v0.1.0")
    read_nickname(repository, no_more=True)
    repository.migration("no_nickname", "expand", *reversed(_ADD))
    repository.commit("0.2.0")
    said = matrix()
    assert (said.status, said.verdicts) == (1, ["FAILED"]), said.text
    assert "user_add failed: UndefinedColumn" in said.text, said.text


def test_code_that_needs_a_contract_migration_is_red(
    repository: Repository, matrix: Callable[[], Said]
) -> None:
    """It is run only once the new code is everywhere, which could not answer until then."""
    repository.commit("0.1.0")
    repository.migration("nickname", "contract", *_ADD)
    read_nickname(repository)
    repository.commit("0.2.0")
    said = matrix()
    assert (said.status, said.verdicts) == (1, ["ok", "FAILED"]), said.text
    assert "user_add failed: UndefinedColumn" in said.text, said.text


def test_a_contract_migration_may_take_what_the_release_before_reads(
    repository: Repository, matrix: Callable[[], Said]
) -> None:
    """It comes when that release runs nowhere, and then nobody returns to it."""
    repository.migration("nickname", "expand", *_ADD)
    read_nickname(repository)
    repository.commit("0.1.0")
    read_nickname(repository, no_more=True)
    repository.migration("no_nickname", "contract", *reversed(_ADD))
    repository.commit("0.2.0")
    said = matrix()
    assert (said.status, said.verdicts) == (0, ["ok", "ok"]), said.text


def test_the_first_release_has_nobody_to_share_with(
    repository: Repository, matrix: Callable[[], Said]
) -> None:
    """One line says so; its own tests run on the whole schema, which is what `make test` does."""
    repository.commit("0.1.0")
    said = matrix()
    assert (said.status, said.verdicts) == (0, []), said.text
    assert "0.1.0 is the first release: there is none before it" in said.text


def test_migrations_that_no_release_could_run_are_red(
    repository: Repository, matrix: Callable[[], Said]
) -> None:
    """A released file that was changed, and an expand one behind a contract one; no test is run."""
    repository.commit("0.1.0")
    repository.migration("one", "contract", "ALTER TABLE users ADD COLUMN one text", "SELECT 1")
    repository.migration("two", "expand", *_ADD)
    repository.commit("0.2.0")
    said = matrix()
    assert (said.status, said.verdicts) == (1, []), said.text
    assert "(expand) comes after" in said.text
    repository.replace("migrations/0002_tasks.sql", "-- purpose: tasks", "-- purpose: the tasks")
    said = matrix()
    assert (said.status, said.verdicts) == (1, []), said.text
    assert "0002_tasks.sql was changed since it was released" in said.text


def test_what_is_left_out_is_there() -> None:
    """A test that was moved would run again, or a folder of other tests be left out."""
    assert [path for path in LEFT_OUT if not (ROOT / path).exists()] == []
