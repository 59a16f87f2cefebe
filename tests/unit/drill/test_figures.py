"""The metrics and the line of a drill."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gtsd.drill.compare import differing
from gtsd.drill.errors import Cause
from gtsd.drill.figures import Figures, last_success
from gtsd.drill.reading import Table

_FIRST = datetime(2026, 11, 28, 4, 15, tzinfo=UTC)
_SECOND = datetime(2026, 11, 29, 4, 15, tzinfo=UTC)


def _passed(began: datetime) -> Figures:
    return Figures(began, rto=12.5, rpo=0.0, bytes=1000, steps={"look": 1.0}, passed=True)


def test_a_failed_drill_keeps_the_time_of_the_last_success(tmp_path: Path) -> None:
    """The alarm is on its age; what the failed one does not know is not told as 0."""
    path = tmp_path / "drill.prom"
    failed = Figures(_SECOND, step="look", cause=Cause.WRONG_KEY, why="x", steps={"look": 0.1})
    failed.write(path)
    assert last_success(path) is None
    _passed(_FIRST).write(path)
    assert "gtsd_restore_ok 1.0" in path.read_text()
    failed.write(path)
    text = path.read_text()
    assert last_success(path) == _FIRST.timestamp()
    assert "gtsd_restore_ok 0.0" in text
    assert "gtsd_restore_rto_seconds" not in text
    assert 'gtsd_restore_step_seconds{step="look"} 0.1' in text
    _passed(_SECOND).write(path)
    assert last_success(path) == _SECOND.timestamp()


def test_the_file_is_for_everybody_and_alone(tmp_path: Path) -> None:
    """node_exporter is another user, and would read a half-written one under a name of its own."""
    path = tmp_path / "drill.prom"
    _passed(_FIRST).write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [each.name for each in tmp_path.iterdir()] == ["drill.prom"]
    with pytest.raises(OSError, match="No such file"):
        _passed(_FIRST).write(tmp_path / "gone" / "drill.prom")


def test_the_line_tells_all_on_one_line() -> None:
    """A failure has its step, cause and sentence; a success none of them."""
    good = _passed(_FIRST)
    good.tables = {"public.users": Table(2, "17"), "public.tasks": Table(3, "4")}
    told = json.loads(good.line())
    assert "\n" not in good.line()
    assert (told["msg"], told["rows"], told["rto_seconds"]) == ("restore drill passed", 5, 12.5)
    assert told["tables"]["public.users"] == {"rows": 2, "hash": "17"}
    assert not {"step", "cause", "why"} & told.keys()
    bad = json.loads(Figures(_FIRST, step="restore", cause=Cause.DAMAGED, why="f\ng").line())
    assert (bad["step"], bad["cause"], bad["why"]) == ("restore", "damaged", "f\ng")
    assert json.loads(Figures(_FIRST).line())["cause"] == "unexpected"


@pytest.mark.parametrize(
    ("left", "right", "number"),
    [
        ([], [], 0),
        ([1, 2, 2, 3], [1, 2, 2, 3], 0),
        ([1, 2, 3], [1, 3, 4], 1),
        ([1, 2, 2], [1, 2], 1),
        ([], [-5, 7], 2),
        ([1, 2], [], 2),
    ],
)
def test_differing_rows_are_counted(left: list[int], right: list[int], number: int) -> None:
    """A changed one is one, and twins are counted as often as they are there."""
    assert differing(iter(left), iter(right)) == number
