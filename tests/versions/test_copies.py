"""A copy holds what its release held, and runs with nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.versions import copies
from tests.versions.suite import ROOT
from tests.versions.throwaway import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """With a service of one file, at version 0.1.0."""
    made = Repository(tmp_path / "repository")
    (made.folder / "service" / "gtsd").mkdir(parents=True)
    (made.folder / "service" / "gtsd" / "__init__.py").write_text("AGE = 'old'\n")
    (made.folder / "requirements").mkdir()
    (made.folder / "requirements" / "test.txt").write_text("pytest==1\n")
    made.commit("0.1.0")
    return made


def test_a_copy_of_the_desk_has_what_is_not_committed_yet(
    repository: Repository, tmp_path: Path
) -> None:
    """New files, without ignored and removed ones."""
    (repository.folder / "new.py").touch()
    (repository.folder / "built.log").touch()
    (repository.folder / ".gitignore").write_text("*.log\n")
    (repository.folder / "pyproject.toml").unlink()
    copies.of_desk(repository.folder, tmp_path / "copy")
    found = {path.name for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    assert found == {".gitignore", "__init__.py", "new.py", "test.txt"}


def test_a_copy_of_a_commit_runs_its_own_service(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the one on the desk, even where PYTHONPATH names that."""
    commit = repository.git("rev-parse", "HEAD")
    (repository.folder / "service" / "gtsd" / "__init__.py").write_text("AGE = 'new'\n")
    copies.of_commit(repository.folder, commit, tmp_path / "copy")
    monkeypatch.setenv("PYTHONPATH", str(repository.folder / "service"))
    said = subprocess.run(
        [sys.executable, "-c", "import gtsd; print(gtsd.AGE)"],
        cwd=tmp_path / "copy",
        env=copies.environ(tmp_path / "copy"),
        check=True,
        capture_output=True,
        text=True,
    )
    assert said.stdout == "old\n"


def test_a_release_runs_with_the_packages_of_its_own_lock(
    repository: Repository, tmp_path: Path
) -> None:
    """They are installed where the locks differ, and shared where they do not."""
    copy = tmp_path / "copy"
    copies.of_desk(repository.folder, copy)
    assert copies.python(copy, repository.folder) == Path(sys.executable)
    (copy / "requirements" / "test.txt").write_text("# nothing\n")
    (copy / "requirements" / "environment").write_text(
        (ROOT / "requirements" / "environment").read_text()
    )
    python = copies.python(copy, repository.folder)
    assert python.is_relative_to(copy)
    told = subprocess.run(
        [python, "-m", "pytest"], capture_output=True, text=True, check=False
    ).stderr
    assert "No module named pytest" in told
