"""A workshop for releases, and a host that takes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.release.signers import Workshop, make_key


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """With a key of its own."""
    folder = tmp_path / "workshop"
    folder.mkdir()
    return Workshop(folder, make_key(folder / "key"))
