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
    """The text of every module of the service, by its path."""
    service = root / "service" / "gtsd"
    return {p: p.read_text() for p in files if p.suffix == ".py" and p.is_relative_to(service)}


@pytest.fixture(scope="session")
def tests(root: Path, files: list[Path]) -> dict[Path, str]:
    """The text of every test module, by its path."""
    return {
        p: p.read_text()
        for p in files
        if p.is_relative_to(root / "tests") and p.name.startswith("test_") and p.suffix == ".py"
    }
