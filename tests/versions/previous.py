"""Which release came before the code of a checkout, told by its tags or else by its history."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from packaging.version import InvalidVersion, Version

_TAG = re.compile(r"v(\d+\.\d+\.\d+)")


class Unsuitable(Exception):
    """What these tests cannot be made of; the message says what to do."""


class Release(NamedTuple):
    """A version, and the commit that it was made of."""

    version: Version
    commit: str


def own_version(checkout: Path) -> Version:
    """What pyproject.toml says, committed or not; raises Unsuitable."""
    file = checkout / "pyproject.toml"
    found = _version(file.read_text()) if file.is_file() else None
    if found is None:
        raise Unsuitable(f'{file} has no version; a good one is: version = "1.4.0"')
    return found


def release_before(checkout: Path) -> Release | None:
    """The newest release that is older than the checkout; None where the checkout is the first.

    A tag of HEAD's past, like v1.4.0, is a release; one like v1.4.0rc1 is not, since production
    never ran it. While there is no such tag, it is the last commit of an earlier version in
    pyproject.toml. Raises Unsuitable without a history to look at.
    """
    if git(checkout, "rev-parse", "--is-shallow-repository").strip() != "false":
        raise Unsuitable(
            f"{checkout} knows too little of its history to tell which release came before:"
            " git fetch --unshallow --tags (in a workflow: fetch-depth: 0)"
        )
    own = own_version(checkout)
    return _tagged(checkout, own) or _last_commit(checkout, own)


def git(checkout: Path, *arguments: str) -> str:
    """What git prints; raises Unsuitable with its words."""
    # Another user may own the checkout, which git refuses to read unless it is told.
    command = ["git", "-c", "safe.directory=*", "-C", str(checkout), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unsuitable(f"git {' '.join(arguments[:2])} in {checkout}: {done.stderr.strip()}")
    return done.stdout


def _tagged(checkout: Path, own: Version) -> Release | None:
    names = git(checkout, "for-each-ref", "--merged=HEAD", "--format=%(refname:strip=2)",
                "refs/tags/v*").split()  # fmt: skip
    tags = {Version(match[1]): name for name in names if (match := _TAG.fullmatch(name))}
    newest = max((version for version in tags if version < own), default=None)
    if newest is None:
        return None
    return Release(newest, git(checkout, "rev-parse", f"{tags[newest]}^{{commit}}").strip())


def _last_commit(checkout: Path, own: Version) -> Release | None:
    for commit in _before_each_change(checkout):
        version = _version_at(checkout, commit)
        if version is not None and version < own:
            return Release(version, commit)
    return None


def _before_each_change(checkout: Path) -> Iterator[str]:
    """HEAD, since a new version may not be committed yet; then what came before each other one."""
    yield git(checkout, "rev-parse", "HEAD").strip()
    changes = git(checkout, "log", "--format=%P", "-G", "^version = ", "--", "pyproject.toml")
    for parents in changes.splitlines():
        # The root has none.
        yield from parents.split()[:1]


def _version_at(checkout: Path, commit: str) -> Version | None:
    if not git(checkout, "ls-tree", "--name-only", commit, "pyproject.toml"):
        return None
    return _version(git(checkout, "show", f"{commit}:pyproject.toml"))


def _version(project: str) -> Version | None:
    """None where it is none, as in the first steps of a project."""
    try:
        return Version(tomllib.loads(project)["project"]["version"])
    except (tomllib.TOMLDecodeError, KeyError, TypeError, InvalidVersion):
        return None
