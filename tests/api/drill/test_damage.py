"""Each way in which a repository, its key or the host can be bad: the drill says which."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.drill.conftest import Drill
from tests.support.backed_up import BackedUp, flip

_MEGABYTE = 1_000_000


def test_one_flipped_byte_in_the_backup_is_found_in_its_file(
    primary: BackedUp, drill: Drill
) -> None:
    """A file in the middle of the backup, of which the restore itself says no name."""
    with primary.spoiled():
        name = "pg_data/base/1/1255.lz4"
        flip(primary.backup_folder() / name, 5000)
        outcome = drill()
    assert outcome.failed == ("restore", "damaged")
    assert f"/{name}" in outcome.line["why"]
    assert "gtsd_restore_rto_seconds" not in outcome.metrics


def test_a_lost_file_of_the_backup_is_named(primary: BackedUp, drill: Drill) -> None:
    """Bytes can be lost by whole files as well."""
    with primary.spoiled():
        lost = primary.backup_folder() / "pg_data/base/1/1255.lz4"
        lost.unlink()
        outcome = drill()
    assert outcome.failed == ("restore", "damaged")
    assert str(lost) in outcome.line["why"]


def test_one_flipped_byte_in_the_archive_is_found_in_its_segment(
    primary: BackedUp, drill: Drill
) -> None:
    """PostgreSQL takes it for the end of the archive, and would start as if all were well."""
    with primary.spoiled():
        segment = primary.segments()[-2]
        flip(segment, 3000)
        outcome = drill()
    assert outcome.failed == ("recover", "damaged")
    assert segment.name in outcome.line["why"]


def test_a_missing_segment_in_the_middle_is_named(primary: BackedUp, drill: Drill) -> None:
    """Without it recovery would stop early and look fine; without the last one nothing shows."""
    with primary.spoiled():
        segment = primary.segments()[-2]
        segment.unlink()
        for each in primary.repository.glob("archive/gtsd/**/*"):
            os.utime(each, (1_700_000_000, 1_700_000_000))
        outcome = drill()
        assert outcome.failed == ("archive", "wal_missing")
        assert segment.name.split("-")[0] in outcome.line["why"]
        assert "nothing after the hole" in outcome.line["why"]
        primary.segments()[-1].unlink()
        assert drill().status == 0


def test_lost_information_on_backups_is_no_wrong_key(primary: BackedUp, drill: Drill) -> None:
    """Both copies of the list are damaged, and the key still opens that of the archive."""
    with primary.spoiled():
        for copy in ("", ".copy"):
            flip(primary.repository / f"backup/gtsd/backup.info{copy}", 100)
        outcome = drill()
    assert outcome.failed == ("look", "damaged")
    assert "backup.info" in outcome.line["why"]


@pytest.mark.parametrize(
    ("key", "says"), [("another-key", "does not fit"), (None, "has no key to it")]
)
def test_a_wrong_key_is_told_from_damage(
    primary: BackedUp, drill: Drill, key: str | None, says: str
) -> None:
    """Nothing can be decrypted, or nothing is given to decrypt it by."""
    config = primary.write_config(primary.folder / "wrong.conf", key)
    outcome = drill(f"--config={config}")
    assert outcome.failed == ("look", "wrong_key")
    assert says in outcome.line["why"]


def test_a_disk_that_is_too_small_is_told_before_the_restore(drill: Drill) -> None:
    """What it has and what it would need."""
    outcome = drill("--spare-mb=9999999")
    assert outcome.failed == ("look", "disk_full")
    assert "free, and the restore needs" in outcome.line["why"]
    assert outcome.line["steps"].keys() == {"look"}


@pytest.fixture
def small(primary: BackedUp, drill: Drill) -> Iterator[Path]:
    """A disk on which the backup fits, and its WAL does not."""
    size = drill("--spare-mb=9999999").line["backup_bytes"]
    folder = primary.folder / "small"
    folder.mkdir()
    options = f"size={round(size * 1.1) + 18 * _MEGABYTE},mode=1777"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("only who may mount file systems can have a small one")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_on_the_way_is_told(small: Path, drill: Drill) -> None:
    """And nothing stays on it."""
    outcome = drill("--spare-mb=0", folder=small)
    step, cause = outcome.failed
    assert (step in {"restore", "recover"}, cause) == (True, "disk_full")
    assert [path.name for path in small.iterdir()] == ["lock"]


def test_a_repository_without_the_stanza_is_told(drill: Drill) -> None:
    """Nothing was ever backed up under that name."""
    outcome = drill("--stanza=other")
    assert outcome.failed == ("look", "no_backup")
    assert "other" in outcome.line["why"]
