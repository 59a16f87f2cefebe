"""A folder of migrations to fill."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.migrate.support import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Empty."""
    return Folder(tmp_path / "migrations")
