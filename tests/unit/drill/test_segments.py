"""Holes in the archive, across logs and timelines."""

from __future__ import annotations

import pytest

from gtsd.drill.segments import (
    Coverage,
    Segment,
    Switch,
    Unreachable,
    coverage,
    history_file,
    kept,
    lsn,
    newest_timeline,
    segment,
    switches,
)

_SIZE = 16 * 1024 * 1024
_SHA = "0" * 40
_START = Segment(1, 5)


def look(present: dict[int, set[int]], newest: int = 1, left: tuple[Switch, ...] = ()) -> Coverage:
    """From segment 5 of timeline 1."""
    return coverage(present, _START, newest, left, _SIZE)


def at(number: int, extra: int = 100) -> int:
    """A position within a segment."""
    return number * _SIZE + extra


@pytest.mark.parametrize("size", [1 << 20, _SIZE, 1 << 30])
def test_a_name_and_a_number_are_one(size: int) -> None:
    """Whatever size segments have; the last one of a log is followed by the first of the next."""
    last = Segment(2, (1 << 32) // size * 3 - 1)
    for each in (Segment(1, 0), last, last._replace(number=last.number + 1)):
        assert segment(each.name(size), size) == each
    assert Segment(1, 256).name(_SIZE) == "000000010000000100000000"
    assert segment("0000000A00000000000000FF", _SIZE) == Segment(10, 255)


def test_a_list_of_the_archive_is_read() -> None:
    """Only whole segments count: no partial one, no label of a backup, no history."""
    paths = [
        f"0000000100000000/000000010000000000000005-{_SHA}.lz4",
        f"0000000100000000/000000010000000000000006-{_SHA}",
        f"0000000200000000/000000020000000000000006-{_SHA}.zst",
        f"0000000100000000/000000010000000000000007.partial-{_SHA}.lz4",
        "0000000100000000/000000010000000000000005.00000028.backup",
        "00000002.history",
        "archive.info",
    ]
    assert kept(paths, _SIZE) == {1: {5, 6}, 2: {6}}


def test_a_whole_archive_has_no_hole() -> None:
    """What is older than the backup's start does not matter."""
    assert look({1: {2, 5, 6, 7}}) == Coverage(Segment(1, 7), [])


def test_holes_are_named_and_the_end_is_not_one() -> None:
    """What would come after the newest segment was never there to be missed."""
    found = look({1: {5, 7, 10}})
    assert found.newest == Segment(1, 10)
    assert found.missing == [Segment(1, n).name(_SIZE) for n in (6, 8, 9)]


def test_an_archive_without_the_backups_own_wal_is_a_hole() -> None:
    """The first segment is needed even to become consistent."""
    first = [Segment(1, 5).name(_SIZE)]
    assert look({}).missing == first
    assert look({1: {3, 4}}).missing == first
    assert look({1: {6}}).missing == first


def test_the_way_goes_over_to_the_next_timeline() -> None:
    """The segment in which the old one was left is read from the new one."""
    left = (Switch(1, at(7)),)
    assert look({1: {5, 6}, 2: {7, 8}}, 2, left) == Coverage(Segment(2, 8), [])
    assert look({1: {5, 6, 7, 8, 9}, 2: {7}}, 2, left) == Coverage(Segment(2, 7), [])


def test_a_hole_before_a_switch_is_found() -> None:
    """A primary that was lost with segments which it had not archived yet."""
    left = (Switch(1, at(8)),)
    assert look({1: {5, 6}, 2: {8, 9}}, 2, left).missing == [Segment(1, 7).name(_SIZE)]
    assert look({1: {5, 6, 7}, 2: {9}}, 2, left).missing == [Segment(2, 8).name(_SIZE)]


def test_a_new_timeline_without_segments_yet_is_no_hole() -> None:
    """Just promoted: the restore ends where the old timeline was left."""
    left = (Switch(1, at(7)),)
    assert look({1: {5, 6, 7, 8}}, 2, left) == Coverage(Segment(1, 6), [])


def test_several_switches_are_followed() -> None:
    """Also two of them in one segment, and histories older than the backup."""
    left = (Switch(1, at(6)), Switch(2, at(6, 900)), Switch(3, at(9)))
    present = {1: {5}, 2: {6}, 3: {6, 7, 8}, 4: {9}}
    assert look(present, 4, left) == Coverage(Segment(4, 9), [])
    start = Segment(3, 7)
    assert coverage(present, start, 4, left, _SIZE) == Coverage(Segment(4, 9), [])


def test_a_backup_on_a_branch_that_was_left_is_told() -> None:
    """Made after the old timeline was left, or on one that the newest does not come from."""
    for left in ((Switch(1, at(4)),), (Switch(2, at(9)),), ()):
        with pytest.raises(Unreachable, match="timeline 3 does not come from timeline 1"):
            look({1: {5}, 3: {9}}, 3, left)


def test_the_newest_timeline_is_the_one_that_postgresql_finds() -> None:
    """It asks for one after the other and stops at the first that is not there."""
    assert newest_timeline(1, []) == 1
    assert newest_timeline(1, ["00000002.history", "00000003.history", "00000005.history"]) == 3
    assert newest_timeline(3, ["00000002.history"]) == 3
    assert history_file(31) == "0000001F.history"


def test_a_history_is_read() -> None:
    """With comments, as PostgreSQL allows them."""
    text = "1\t0/7000100\tno recovery target specified\n\n# by hand\n2\t1/A0\tbefore 2026\n"
    assert switches(text) == [Switch(1, 0x7000100), Switch(2, (1 << 32) + 0xA0)]
    assert lsn("16/B374D848") == 0x16B374D848
