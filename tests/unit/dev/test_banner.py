"""What a newcomer reads once `make run` answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from gtsd.dev.banner import banner
from gtsd.dev.demo import DemoPerson


@pytest.mark.parametrize("found", ["/usr/bin/curl", None])
def test_a_missing_curl_is_told_with_the_command_that_brings_it(
    found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minimal Debian has none, and three of the lines begin with it."""
    monkeypatch.setattr("gtsd.dev.banner.shutil.which", lambda _: found)
    said = banner(
        "http://127.0.0.1:3000", DemoPerson("a@example.com", "x", 1), Path("/x"), (), "smtp://x"
    )
    assert ("apt-get install -y curl" in said) == (found is None)
