"""Which release is the one before is told right, or not at all."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from packaging.version import Version

from tests.versions.previous import Unsuitable, release_before
from tests.versions.throwaway import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Without any commit."""
    return Repository(tmp_path / "repository")


def test_the_newest_earlier_tag_is_the_release_before(repository: Repository) -> None:
    """By version, not by the alphabet, and not HEAD's own."""
    commits = {}
    for version in ("1.9.0", "1.10.0", "1.11.0"):
        commits[version] = repository.commit(version)
        repository.git("tag", "--annotate", "--message", "out", f"v{version}")
    assert release_before(repository.folder) == (Version("1.10.0"), commits["1.10.0"])


def test_tags_that_are_no_release_before_are_passed_over(repository: Repository) -> None:
    """A trial of our own version, another line's release, a later one, and a name of its own."""
    released = repository.commit("1.4.0")
    repository.git("tag", "v1.4.0")
    repository.git("checkout", "--quiet", "-b", "other")
    repository.commit("1.4.9")
    repository.git("tag", "v1.4.9")
    repository.git("checkout", "--quiet", "main")
    repository.commit("1.5.0")
    for name in ("v1.5.0rc1", "v2.0.0", "vacation"):
        repository.git("tag", name)
    assert release_before(repository.folder) == (Version("1.4.0"), released)


def test_without_tags_it_is_the_last_commit_of_an_earlier_version(repository: Repository) -> None:
    """Also where the new version is not committed yet."""
    repository.commit("0.1.0")
    last = repository.commit("0.1.0")
    project = repository.folder / "pyproject.toml"
    project.write_text(project.read_text().replace("0.1.0", "0.2.0"))
    assert release_before(repository.folder) == (Version("0.1.0"), last)
    repository.commit("0.2.0")
    repository.commit("0.2.0")
    assert release_before(repository.folder) == (Version("0.1.0"), last)


def test_a_version_that_was_taken_back_is_no_release(repository: Repository) -> None:
    """Somebody wrote 0.3.0 and thought better of it."""
    last = repository.commit("0.1.0")
    repository.commit("0.3.0")
    repository.commit("0.2.0")
    assert release_before(repository.folder) == (Version("0.1.0"), last)


def test_before_the_first_release_there_is_none(repository: Repository) -> None:
    """A commit without a version, or without pyproject.toml at all, is no release."""
    repository.git("commit", "--quiet", "--allow-empty", "--message", "Begin")
    repository.commit("soon")
    repository.commit("0.1.0")
    assert release_before(repository.folder) is None


def test_a_checkout_without_its_history_is_refused(repository: Repository, tmp_path: Path) -> None:
    """As CI makes it unless it is told: it would pass for the first release."""
    repository.commit("0.1.0")
    repository.commit("0.2.0")
    shallow = tmp_path / "shallow"
    source = repository.folder.as_uri()
    subprocess.run(["git", "clone", "--quiet", "--depth=1", source, shallow], check=True)
    with pytest.raises(Unsuitable, match="fetch-depth: 0"):
        release_before(shallow)
    with pytest.raises(Unsuitable, match="not a git repository"):
        release_before(tmp_path)


def test_a_checkout_without_a_version_is_refused(repository: Repository) -> None:
    """The message shows a good one."""
    repository.commit("soon")
    with pytest.raises(Unsuitable, match=r'version = "1\.4\.0"'):
        release_before(repository.folder)
