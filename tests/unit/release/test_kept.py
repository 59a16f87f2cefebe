"""Which releases a host keeps: those that served last, so that there is a way back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from roles.gtsd.library import gtsd_host_info as info


@pytest.fixture
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's folder of releases, empty."""
    monkeypatch.setattr(info, "_RELEASES", tmp_path)
    return tmp_path


def _used(folder: Path, version: str, at: int) -> None:
    (folder / version).mkdir(exist_ok=True)
    mark = folder / version / ".complete"
    mark.touch()
    os.utime(mark, (at, at))
    os.utime(folder / version, (1, 1))


def test_the_release_that_was_just_left_stays(releases: Path) -> None:
    """However long ago it was unpacked: others were tried meanwhile, and taken back."""
    for at, version in enumerate(("1.0.0", "1.1.0", "1.2.0", "1.3.0"), start=10):
        _used(releases, version, at)
    assert info.surplus("1.3.0", "1.3.0", 3) == ["1.0.0"]
    _used(releases, "1.0.0", 20)
    assert info.surplus("1.3.0", "1.3.0", 3) == ["1.1.0"]


def test_what_serves_and_what_is_wanted_stay(releases: Path) -> None:
    """Even where fewer were to be kept; what was never finished goes by its age."""
    for at, version in enumerate(("1.0.0", "1.1.0", "1.2.0"), start=10):
        _used(releases, version, at)
    (releases / "1.3.0").mkdir()
    os.utime(releases / "1.3.0", (5, 5))
    assert info.surplus("1.0.0", "1.1.0", 1) == ["1.2.0", "1.3.0"]


def test_what_will_be_unpacked_has_its_place(releases: Path) -> None:
    """Otherwise a run keeps one more than the next, which then is not without a change."""
    for at, version in enumerate(("1.0.0", "1.1.0", "1.2.0"), start=10):
        _used(releases, version, at)
    assert info.surplus("1.2.0", "1.3.0", 3) == ["1.0.0"]
    (releases / "1.0.0").joinpath(".complete").unlink()
    (releases / "1.0.0").rmdir()
    _used(releases, "1.3.0", 20)
    assert info.surplus("1.3.0", "1.3.0", 3) == []


def test_a_bare_host_has_none(releases: Path) -> None:
    """There is no folder yet."""
    releases.rmdir()
    assert info.surplus("", "1.0.0", 3) == []
