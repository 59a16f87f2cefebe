"""Up, down and what stays when something fails, on a real PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from gtsd.migrate import runner
from gtsd.migrate.errors import BadFiles, Drift, MigrationError
from tests.api.migrate.support import (
    Folder,
    Run,
    backends,
    ledger,
    rows,
    session,
    start_up,
    tables,
    until,
)


@pytest.fixture
def three(folder: Folder) -> Folder:
    """Three tables."""
    for number, name in enumerate("abc", 1):
        folder.add(f"{number:04}_{name}", f"CREATE TABLE {name} (x text);", f"DROP TABLE {name};")
    return folder


def test_up_applies_what_is_pending_and_nothing_twice(database_url: str, three: Folder) -> None:
    """In order, to the number that is asked for, then the rest, then nothing."""
    assert [m.name for m in runner.up(database_url, three.path, to=2)] == ["0001_a", "0002_b"]
    assert [m.name for m in runner.up(database_url, three.path)] == ["0003_c"]
    assert runner.up(database_url, three.path, budget=5.0) == []
    assert tables(database_url) == ["a", "b", "c"]


def test_the_ledger_says_what_when_by_whom_and_from_which_bytes(
    database_url: str, three: Folder
) -> None:
    """Enough to find out, years later, where a table came from."""
    options = runner.Options(version="1.2.3")
    (migration,) = runner.up(database_url, three.path, to=1, options=options)
    found = rows(
        database_url,
        "SELECT number, name, phase, checksum, gtsd_version, split_part(applied_by, '@', 1),"
        " duration_ms >= 0, now() - applied_at < interval '1 minute' FROM gtsd_migrations",
    )
    assert found == [(1, "0001_a", "expand", migration.checksum, "1.2.3", "gtsd", True, True)]


def test_down_takes_back_the_newest_first(database_url: str, three: Folder) -> None:
    """One step, then to a number, then all of it; and up again."""
    runner.up(database_url, three.path)
    assert [m.number for m in runner.down(database_url, three.path, steps=1)] == [3]
    assert tables(database_url) == ["a", "b"]
    assert [m.number for m in runner.down(database_url, three.path, to=0)] == [2, 1]
    assert tables(database_url) == []
    assert ledger(database_url) == []
    assert len(runner.up(database_url, three.path)) == 3


def test_a_phase_of_a_release_is_applied_alone(database_url: str, three: Folder) -> None:
    """Expand before the roll; contract when no host needs the old shape any more."""
    runner.up(database_url, three.path)
    three.add("0004_d", "CREATE TABLE d (x text);")
    three.add("0005_e", "DROP TABLE a;", "CREATE TABLE a (x text);", phase="contract")
    assert [m.number for m in runner.up(database_url, three.path, phase="expand")] == [4]
    assert [m.number for m in runner.up(database_url, three.path, phase="contract")] == [5]
    assert tables(database_url) == ["b", "c", "d"]


def test_a_failure_keeps_what_came_before_and_rolls_back_its_own_file(
    database_url: str, three: Folder
) -> None:
    """The message has the file, the line and the server's words."""
    three.add("0002_b", "CREATE TABLE b (x text);\nCREATE TABLE bb (x text, y nonsense);")
    with pytest.raises(MigrationError, match='0002_b.sql, line 7: type "nonsense"') as caught:
        runner.up(database_url, three.path)
    assert caught.value.exit_code == 1
    assert tables(database_url) == ["a"]
    assert ledger(database_url) == [1]
    three.add("0002_b", "CREATE TABLE b (x text);")
    assert [m.number for m in runner.up(database_url, three.path)] == [2, 3]


def test_rows_are_not_quoted_in_an_error(database_url: str, folder: Folder) -> None:
    """What PostgreSQL adds as detail is people's data."""
    folder.add("0001_a", "CREATE TABLE a (x text); INSERT INTO a VALUES ('ann@x'), ('ann@x');")
    folder.add("0002_b", "CREATE UNIQUE INDEX a_x ON a (x);")
    with pytest.raises(MigrationError, match="could not create unique index") as caught:
        runner.up(database_url, folder.path)
    assert "ann@x" not in str(caught.value)


def test_a_statement_in_a_transaction_ends_at_its_timeout(
    database_url: str, folder: Folder
) -> None:
    """It holds locks that others wait for."""
    folder.add("0001_a", "SELECT 1;\nSELECT pg_sleep(30);")
    options = runner.Options(statement_timeout=0.1)
    with pytest.raises(MigrationError, match=r"--statement-timeout is 0.1 s"):
        runner.up(database_url, folder.path, options=options)
    assert ledger(database_url) == []


def test_a_percent_sign_is_a_percent_sign(database_url: str, folder: Folder) -> None:
    """The text of a migration is sent as it is."""
    folder.add("0001_a", "CREATE TABLE a (x text DEFAULT '100 %s', CHECK (x LIKE '%s'));")
    runner.up(database_url, folder.path)
    assert rows(database_url, "INSERT INTO a DEFAULT VALUES RETURNING x") == [("100 %s",)]


@pytest.mark.parametrize("change", ["changed", "missing", "renamed", "out of order"])
def test_a_database_that_differs_from_the_files_is_left_alone(
    database_url: str, three: Folder, change: str
) -> None:
    """Neither up nor down does anything before a person has decided."""
    runner.up(database_url, three.path)
    three.add("0004_d", "CREATE TABLE d (x text);")
    if change == "changed":
        three.add("0002_b", "CREATE TABLE b (x text, y text);")
        said = "0002_b.sql was changed after it was applied"
    elif change == "missing":
        for name in ("0003_c", "0004_d"):
            (three.path / f"{name}.sql").unlink()
            (three.path / f"{name}.undo.sql").unlink()
        said = "0003_c was applied at .* but its file is missing"
    elif change == "renamed":
        for kind in ("sql", "undo.sql"):
            (three.path / f"0003_c.{kind}").rename(three.path / f"0003_z.{kind}")
        said = "number 0003 was applied as 0003_c, but is now 0003_z"
    else:
        rows(database_url, "DELETE FROM gtsd_migrations WHERE number = 2")
        said = "0002_b is out of order"
    for call in (runner.up, lambda *a: runner.down(*a, to=0)):
        with pytest.raises(Drift, match=said) as caught:
            call(database_url, three.path)
        assert caught.value.exit_code == 4
    assert tables(database_url) == ["a", "b", "c"]


def test_bad_files_are_refused_before_the_database_is_asked(tmp_path: Path) -> None:
    """Exit code 2 even where no database answers."""
    with pytest.raises(BadFiles):
        runner.up("postgresql://127.0.0.1:1/none", tmp_path / "absent")


def test_a_database_that_does_not_answer_is_told(folder: Folder) -> None:
    """One sentence and exit code 1."""
    with pytest.raises(MigrationError, match="cannot connect to the database: .*refused"):
        runner.up("postgresql://gtsd@127.0.0.1:1/none", folder.path)


def test_a_lost_connection_is_told_and_a_rerun_goes_on(database_url: str, three: Folder) -> None:
    """The server rolled back what was open."""
    three.add("0002_b", "CREATE TABLE b (x text); SELECT pg_sleep(30);")
    run = start_up(database_url, three)
    until(lambda: run.said("0001_a applied"))
    until(lambda: backends(database_url, "pg_sleep(30)"))
    rows(database_url, "SELECT pg_terminate_backend(%s)", *backends(database_url, "pg_sleep(30)"))
    with pytest.raises(MigrationError, match="terminating connection"):
        run.end()
    assert tables(database_url) == ["a"]
    three.add("0002_b", "CREATE TABLE b (x text);")
    assert [m.number for m in runner.up(database_url, three.path)] == [2, 3]


def test_an_interrupted_run_stops_its_statement_on_the_server(
    database_url: str, folder: Folder
) -> None:
    """Ctrl-C must not leave an index build behind that nobody waits for."""
    folder.add("0001_a", "CREATE TABLE a (x text);")
    folder.add(
        "0002_b", "CREATE INDEX CONCURRENTLY IF NOT EXISTS a_x ON a (x);", "ANALYZE a;", none=True
    )
    runner.up(database_url, folder.path, to=1)

    def interrupt(line: str) -> None:
        if "waits" in line:
            raise KeyboardInterrupt

    with session(database_url) as writer:
        writer.cursor().execute("INSERT INTO a VALUES ('open')")
        options = runner.Options(say=interrupt)
        run = Run(lambda _: runner.up(database_url, folder.path, options=options))
        with pytest.raises(KeyboardInterrupt):
            run.end()
        until(lambda: not backends(database_url, "INDEX CONCURRENTLY"))
    runner.up(database_url, folder.path)
    assert ledger(database_url) == [1, 2]
