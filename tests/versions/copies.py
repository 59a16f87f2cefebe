"""Copies of a release's service and tests, with the migrations that another one brings."""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from gtsd.migrate.files import Migration
from gtsd.migrate.plan import select
from tests.versions.previous import Unsuitable, git

_LOCK = Path("requirements") / "test.txt"


def of_commit(checkout: Path, commit: str, place: Path) -> None:
    """The files of a commit, in a folder that is made for them."""
    archive = place.with_suffix(".tar")
    git(checkout, "archive", "--output", str(archive), commit)
    with tarfile.open(archive) as tar:
        tar.extractall(place, filter="data")
    archive.unlink()


def of_desk(checkout: Path, place: Path) -> None:
    """The files as they are, committed or not, without those that git ignores."""
    listed = git(checkout, "ls-files", "-z", "-co", "--exclude-standard").split("\0")
    for name in filter(None, listed):
        # A tracked file may have been removed since; a link to a folder is no file to be read.
        if (checkout / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(checkout / name, place / name)


def released(ours: Sequence[Migration], before: Sequence[Migration]) -> int:
    """How many of our migrations the release before brought.

    Raises Unsuitable where one of them was changed or is gone: no database would take the others.
    """
    now = {migration.name: migration.checksum for migration in ours}
    for old in before:
        if now.get(old.name) != old.checksum:
            what = "was changed" if old.name in now else "is gone"
            raise Unsuitable(
                f"{old.up.path.name} {what} since it was released, and stays in every database as"
                f" it was. Bring it back, and write a new one: {len(before) + 1:04}_name.sql"
            )
    return len(before)


def before_contract(migrations: Sequence[Migration], known: int) -> list[Migration]:
    """Those that are there while old code runs: the ``known`` first and the expand ones after them.

    ``gtsd migrate up --phase expand`` chooses the same. On an empty database it takes all, as no
    old code runs on it. Raises MigrationError where an expand one lies behind a contract one.
    """
    new = migrations[known:]
    return [*migrations[:known], *select(new, to=None, phase="expand", applied=known)]


def give(copy: Path, migrations: Sequence[Migration]) -> None:
    """Have the copy migrate its databases by these, and by no others."""
    shutil.rmtree(copy / "migrations")
    (copy / "migrations").mkdir()
    for migration in migrations:
        for script in (migration.up, migration.undo):
            shutil.copy(script.path, copy / "migrations")


def python(copy: Path, checkout: Path) -> Path:
    """With what the copy's own lock has; the one that runs now where the locks are the same."""
    if filecmp.cmp(copy / _LOCK, checkout / _LOCK, shallow=False):
        return Path(sys.executable)
    subprocess.run(["bash", "requirements/environment", "test"], cwd=copy, check=True)
    return copy / ".venvs" / "test" / "bin" / "python"


def environ(copy: Path) -> dict[str, str]:
    """Nothing of this checkout or of a pytest around us leads the copy's Python astray."""
    foreign = ("PYTEST_", "COV_", "COVERAGE")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "PYTHONPATH": str(copy / "service")}
