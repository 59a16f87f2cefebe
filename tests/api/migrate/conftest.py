"""Folders of migrations, and runs of them that go on while a test does something else."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gtsd.__main__ import run as gtsd
from tests.api.migrate.support import Folder

Cli = Callable[..., int]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Empty."""
    return Folder(tmp_path / "migrations")


@pytest.fixture
def gtsd_migrate(database_url: str, folder: Folder) -> Cli:
    """``gtsd migrate …`` on the database and the folder of the test; returns the exit code."""

    def run(command: str, *arguments: str, **environ: str) -> int:
        given = {"DATABASE_URL": database_url, "APP_VERSION": "1.2.3", **environ}
        words = ["migrate", command, "--folder", str(folder.path), *arguments]
        return gtsd(words, given, sys.stdout, sys.stderr)

    return run
