"""What the static tests look at: the files of the project, and nothing that a build left behind."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the project."""
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def files(root: Path) -> list[Path]:
    """Every file that is tracked, or new and not ignored."""
    # Another user may own the checkout, which git refuses to read unless it is told.
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [root / name for name in listing.split("\0") if name and (root / name).is_file()]


@pytest.fixture(scope="session")
def modules(root: Path, files: list[Path]) -> dict[Path, str]:
    """The text of every module of the service, by its path from the root."""
    return _texts(root, files, "service/gtsd/")


@pytest.fixture(scope="session")
def tests(root: Path, files: list[Path]) -> dict[Path, str]:
    """The text of every test module, by its path from the root."""
    texts = _texts(root, files, "tests/")
    return {path: text for path, text in texts.items() if path.name.startswith("test_")}


def _texts(root: Path, files: list[Path], folder: str) -> dict[Path, str]:
    modules = (p.relative_to(root) for p in files if p.suffix == ".py")
    return {p: (root / p).read_text() for p in modules if str(p).startswith(folder)}
