"""The example of an environment file is made from the settings, and is up to date."""

from __future__ import annotations

from pathlib import Path

from gtsd.check import example_file


def test_the_example_file_is_what_check_prints(root: Path) -> None:
    """After a change of a setting: ``gtsd check --example > systemd/gtsd.env.example``."""
    assert (root / "systemd" / "gtsd.env.example").read_text() == example_file()
