"""A drill of a sound repository passes, proves every row, and notices one that is another."""

from __future__ import annotations

import time

from tests.api.drill.conftest import Drill
from tests.support.backed_up import BackedUp

_STEPS = (
    *("look", "restore", "archive", "recover", "structure", "ledgers", "constraints", "rows"),
    *("service", "pages"),
)


def test_a_sound_repository_is_restored_to_its_last_row(primary: BackedUp, drill: Drill) -> None:
    """0 rows differ from the running server, and the figures are those of this run."""
    newest = primary.archive()
    before = time.time()
    outcome = drill(f"--compare={primary.dsn()}")
    line, metrics = outcome.line, outcome.metrics
    assert outcome.status == 0, outcome.errors
    assert line["msg"] == "restore drill passed"
    assert (line["differing_rows"], line["compared_rows"]) == (0, line["rows"])
    for table, told in line["tables"].items():
        assert primary.execute(f"SELECT count(*) FROM {table}") == [(told["rows"],)], table
    assert line["tables"]["public.tasks"]["rows"] == 3637
    assert line["tables"]["public.kept_elsewhere"]["rows"] == 9
    assert line["newest_wal"] == newest
    assert (line["releases"], line["page_checksums"]) == (1, True)
    assert "0 pending" in line["migrations"]
    assert line["constraints"] > 100
    assert line["calls"] > 10
    assert tuple(line["steps"]) == _STEPS

    assert metrics["gtsd_restore_ok"] == 1
    assert before <= metrics["gtsd_restore_last_success_timestamp_seconds"] <= time.time()
    assert (
        metrics["gtsd_restore_last_run_timestamp_seconds"]
        == (metrics["gtsd_restore_last_success_timestamp_seconds"])
    )
    assert 0 < metrics["gtsd_restore_rto_seconds"] < time.time() - before
    assert 0 <= metrics["gtsd_restore_rpo_seconds"] < 3600
    assert metrics["gtsd_restore_bytes"] > 20_000_000
    assert {f"gtsd_restore_step_seconds{step}" for step in _STEPS} <= metrics.keys()


def test_what_a_live_server_has_fetched_ahead_is_left_alone(
    primary: BackedUp, drill: Drill
) -> None:
    """A restore empties pgBackRest's spool; a server of the same host may live on its own."""
    ahead = primary.folder / "work" / "archive" / "gtsd" / "in" / "0000000100000000000000FF"
    primary.run("mkdir", "-p", ahead.parent)
    primary.run("touch", ahead)
    assert drill().status == 0
    assert ahead.exists()


def test_one_changed_row_is_found_and_the_last_success_stays(
    primary: BackedUp, drill: Drill
) -> None:
    """The row is in no archived segment, so the running server has what no restore can give."""
    success = drill().metrics["gtsd_restore_last_success_timestamp_seconds"]
    primary.execute("UPDATE tasks SET title = title || '!' WHERE id = 1")
    try:
        outcome = drill(f"--compare={primary.dsn()}")
    finally:
        primary.execute("UPDATE tasks SET title = rtrim(title, '!') WHERE id = 1")
    assert outcome.failed == ("rows", "rows")
    assert "public.tasks: 1 rows differ" in outcome.line["why"]
    assert outcome.metrics["gtsd_restore_last_success_timestamp_seconds"] == success
    assert outcome.metrics["gtsd_restore_last_run_timestamp_seconds"] > success


def test_the_age_of_the_newest_commit_is_told(primary: BackedUp, drill: Drill) -> None:
    """What was committed after the newest segment counts as lost; what is archived does not."""
    primary.execute("UPDATE users SET name = name WHERE id = 1")
    ((committed,),) = primary.execute("SELECT extract(epoch FROM now())::float8")
    primary.archive()
    time.sleep(1.5)
    metrics = drill().metrics
    age = metrics["gtsd_restore_last_run_timestamp_seconds"] - committed
    assert age > 1.5
    assert abs(metrics["gtsd_restore_rpo_seconds"] - age) < 0.5


def test_a_restore_follows_a_promotion(primary: BackedUp, drill: Drill) -> None:
    """The backup is of one timeline, the newest rows of another; this one goes last."""
    primary.stop()
    primary.run("touch", primary.data / "standby.signal")
    primary.start()
    primary.run(primary.binaries / "pg_ctl", "-D", primary.data, "-w", "promote")
    primary.execute("UPDATE users SET name = 'Eve' WHERE id = 2")
    newest = primary.archive()
    assert newest.startswith("00000002")
    outcome = drill(f"--compare={primary.dsn()}")
    assert outcome.status == 0, outcome.errors
    assert outcome.line["newest_wal"] == newest
