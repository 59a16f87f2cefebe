"""What is installed and what CI runs is pinned to the byte."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[\w, -]+\])?==([\w.]+)", re.MULTILINE)
_LOCKED = re.compile(
    r"^([A-Za-z0-9._-]+)(?:\[[\w,-]+\])?==([\w.]+)(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL
)
_USES = re.compile(r"uses:\s*(\S+)(.*)")
_PINNED_ACTION = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")


def _name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def loose(wanted: str) -> list[str]:
    """Lines of a list of requirements that do not pin one version."""
    lines = (line.split("#")[0].strip() for line in wanted.splitlines())
    return [line for line in lines if line and not line.startswith("-") and not _PIN.match(line)]


def unlocked(wanted: str, lock: str) -> list[str]:
    """Pins that are missing in the lock, or there in another version."""
    locked = {(_name(name), version) for name, version, _ in _LOCKED.findall(lock)}
    pins = [(_name(name), version) for name, version in _PIN.findall(wanted)]
    return [f"{name}=={version}" for name, version in pins if (name, version) not in locked]


def unhashed(lock: str) -> list[str]:
    """Packages of a lock that any file of that version would satisfy."""
    return [name for name, _, rest in _LOCKED.findall(lock) if "--hash=sha256:" not in rest]


def unpinned(workflow: str) -> list[str]:
    """Actions that are not named by a full commit with its version in a comment."""
    return [
        action
        for action, comment in _USES.findall(workflow)
        if not (_PINNED_ACTION.fullmatch(action) and re.match(r"\s+# v\d", comment))
    ]


def _wanted(root: Path) -> list[Path]:
    return sorted((root / "requirements").glob("*.in"))


def test_every_requirement_is_pinned_and_locked_with_hashes(root: Path) -> None:
    """A lock is made of its list; whoever edits one and forgets the other is told."""
    lists = _wanted(root)
    assert {"runtime.in", "test.in", "lint.in"} <= {path.name for path in lists}
    for path in lists:
        wanted, lock = path.read_text(), path.with_suffix(".txt").read_text()
        assert (path.name, loose(wanted)) == (path.name, [])
        assert (path.name, unlocked(wanted, lock)) == (path.name, [])
        assert (path.name, unhashed(lock)) == (path.name, [])


def test_the_package_needs_what_the_lock_brings(root: Path) -> None:
    """What pip would want for the wheel is what a host gets, no more and no less."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    wanted = (root / "requirements" / "runtime.in").read_text()
    needed = [re.split(r"[\[<>=!~ ]", requirement)[0] for requirement in project["dependencies"]]
    assert sorted(map(_name, needed)) == sorted(_name(name) for name, _ in _PIN.findall(wanted))


def test_loose_and_unhashed_requirements_are_found() -> None:
    """A range, another version and a missing hash are each told; names compare as pip does."""
    assert loose("a==1.0\n# why\nb>=2\nc\n-r other.in\nredis[hiredis]==8.1.0\n") == ["b>=2", "c"]
    lock = "py-jwt==2.0 \\\n    --hash=sha256:ab\nb[x]==1 ; marker \\\n    --hash=sha256:cd\nc==3\n"
    assert unlocked("Py_JWT==2.0\nb[x]==1\nc==4\nd==1\n", lock) == ["c==4", "d==1"]
    assert unhashed(lock) == ["c"]


def _workflows(root: Path) -> list[Path]:
    return sorted((root / ".github" / "workflows").glob("*.yml"))


def test_every_action_is_pinned_by_commit(root: Path) -> None:
    """A tag can be moved to other code after it was reviewed."""
    assert _workflows(root)
    assert {p.name: unpinned(p.read_text()) for p in _workflows(root)} == {
        p.name: [] for p in _workflows(root)
    }


@pytest.mark.parametrize(
    "action",
    ["actions/checkout@v6 # v6.0.2", f"actions/checkout@{'a' * 40}", "actions/checkout@abc # v6"],
)
def test_an_unpinned_action_is_found(action: str) -> None:
    """A tag, a commit without its version, and a short commit are each refused."""
    assert unpinned(f"- uses: {action}\n") == [action.split(maxsplit=1)[0]]
    assert unpinned(f"- uses: actions/checkout@{'a' * 40} # v6.0.2\n") == []
