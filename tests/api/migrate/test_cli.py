"""``gtsd migrate`` as people and deploys call it: what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.api.migrate.conftest import Cli
from tests.api.migrate.support import Folder, rows, session, tables

Output = pytest.CaptureFixture[str]


@pytest.fixture
def two(folder: Folder) -> Folder:
    """An expand and a contract migration."""
    folder.add("0001_a", "CREATE TABLE a (x text);", "DROP TABLE a;")
    return folder.add("0002_b", "CREATE TABLE b (x text);", "DROP TABLE b;", phase="contract")


def test_up_and_down_say_what_they_did(two: Folder, gtsd_migrate: Cli, capsys: Output) -> None:
    """The result on stdout, what happens on the way on stderr."""
    assert gtsd_migrate("up") == 0
    out, err = capsys.readouterr()
    assert out == "2 applied\n"
    assert [line.split(" in ")[0] for line in err.splitlines()] == [
        "0001_a applied",
        "0002_b applied",
    ]
    assert gtsd_migrate("up", "--budget", "1") == 0
    assert capsys.readouterr().out == "nothing to do\n"
    assert gtsd_migrate("down", "--steps", "1") == 0
    assert capsys.readouterr().out == "1 undone\n"
    assert gtsd_migrate("down", "--to", "1") == 0
    assert capsys.readouterr().out == "nothing to do\n"


def test_a_dry_run_and_a_plan_change_nothing(
    two: Folder, gtsd_migrate: Cli, capsys: Output, database_url: str
) -> None:
    """Not even the ledger is made; both show the same."""
    assert gtsd_migrate("plan", "--to", "1") == 0
    plan = capsys.readouterr().out
    assert plan.startswith("0001_a.sql  expand, in one transaction, lock: none\n    line 6: CREATE")
    assert gtsd_migrate("up", "--dry-run", "--to", "1") == 0
    assert capsys.readouterr().out == plan
    assert rows(database_url, "SELECT to_regclass('gtsd_migrations')") == [(None,)]
    gtsd_migrate("up")
    assert gtsd_migrate("down", "--dry-run", "--to", "0") == 0
    assert "0002_b.undo.sql  contract" in capsys.readouterr().out
    assert tables(database_url) == ["a", "b"]


def test_status_tells_where_a_database_is(two: Folder, gtsd_migrate: Cli, capsys: Output) -> None:
    """As a table, or as JSON for a playbook."""
    gtsd_migrate("up", "--phase", "all", "--to", "1")
    capsys.readouterr()
    assert gtsd_migrate("status") == 0
    table = capsys.readouterr().out.splitlines()
    assert [line.split()[0:3] for line in table[1:]] == [
        ["0001_a", "expand", "applied"],
        ["0002_b", "contract", "pending"],
    ]
    assert gtsd_migrate("status", "--json") == 0
    records = json.loads(capsys.readouterr().out)
    assert [(r["number"], r["state"], r["gtsd_version"]) for r in records] == [
        (1, "applied", "1.2.3"),
        (2, "pending", None),
    ]


def test_drift_is_exit_code_4(two: Folder, gtsd_migrate: Cli, capsys: Output) -> None:
    """From up, plan and verify; status still shows what is there."""
    gtsd_migrate("up")
    assert gtsd_migrate("verify") == 0
    assert "2 applied as the files say, 0 pending, no invalid index" in capsys.readouterr().out
    two.add("0001_a", "CREATE TABLE a (x text, y text);")
    for command in ("up", "plan", "verify"):
        assert gtsd_migrate(command) == 4
        assert "0001_a.sql was changed after it was applied" in capsys.readouterr().err
    assert gtsd_migrate("status") == 0
    assert "file changed" in capsys.readouterr().out


def test_a_lock_that_was_not_had_is_exit_code_3(
    two: Folder, gtsd_migrate: Cli, capsys: Output, database_url: str
) -> None:
    """With the name of who was in the way."""
    gtsd_migrate("up")
    with session(database_url, "nightly-dump") as reader:
        reader.cursor().execute("SELECT x FROM b")
        assert gtsd_migrate("down", "--steps", "1", "--budget", "0.1") == 3
    assert "In the way: pid" in capsys.readouterr().err


def test_bad_files_and_bad_usage_are_exit_code_2(
    two: Folder, gtsd_migrate: Cli, capsys: Output
) -> None:
    """Whoever calls it has to change something before trying again."""
    assert gtsd_migrate("up", "--to", "9") == 2
    assert gtsd_migrate("down") == 2
    with pytest.raises(SystemExit) as caught:
        gtsd_migrate("up", "--phase", "sideways")
    assert caught.value.code == 2
    two.write("0003_c.sql", "SELECT 1;")
    assert gtsd_migrate("verify") == 2
    assert "0003_c.sql: 0003_c.undo.sql is missing" in capsys.readouterr().err


def test_a_failed_statement_and_an_absent_database_are_exit_code_1(
    two: Folder, gtsd_migrate: Cli, capsys: Output
) -> None:
    """The same call may succeed later."""
    two.add("0003_c", "SELECT nonsense;")
    assert gtsd_migrate("up") == 1
    assert '0003_c.sql, line 6: column "nonsense" does not exist' in capsys.readouterr().err
    assert gtsd_migrate("up", DATABASE_URL="postgresql://ann:word@127.0.0.1:1/x") == 1
    assert "cannot connect" in capsys.readouterr().err


def test_a_database_that_refuses_a_question_is_exit_code_1(
    two: Folder, gtsd_migrate: Cli, capsys: Output, database_url: str
) -> None:
    """For example a ledger that this role may not read."""
    gtsd_migrate("up")
    rows(database_url, "REVOKE SELECT ON gtsd_migrations FROM CURRENT_USER")
    capsys.readouterr()
    assert gtsd_migrate("status") == 1
    assert "the database said: permission denied" in capsys.readouterr().err
    assert gtsd_migrate("up") == 1
    assert "permission denied for table gtsd_migrations" in capsys.readouterr().err


def test_down_in_production_needs_a_yes(
    two: Folder, gtsd_migrate: Cli, capsys: Output, database_url: str
) -> None:
    """What an undo drops is gone."""
    gtsd_migrate("up")
    assert gtsd_migrate("down", "--to", "0", APP_ENV="production") == 2
    assert "in production it needs --yes" in capsys.readouterr().err
    assert tables(database_url) == ["a", "b"]
    assert gtsd_migrate("down", "--to", "0", "--yes", APP_ENV="production") == 0
    assert tables(database_url) == []


def test_only_the_settings_of_a_migration_are_needed(
    two: Folder, gtsd_migrate: Cli, capsys: Output, database_url: str, tmp_path: Path
) -> None:
    """It runs without the API's secrets, and takes the URL from a credential as well."""
    (tmp_path / "database_url").write_text(database_url)
    given = {"DATABASE_URL": "", "CREDENTIALS_DIRECTORY": str(tmp_path), "APP_ENV": "staging"}
    assert gtsd_migrate("plan", **given) == 0
    capsys.readouterr()
    assert gtsd_migrate("plan", DATABASE_URL="", APP_ENV="sideways") == 2
    err = capsys.readouterr().err
    assert "must be one of development" in err
    assert "DATABASE_URL  is missing" in err
    assert "JWT_SECRET" not in err
    weak = "postgresql://ann:postgres@db.example.org/x"
    assert gtsd_migrate("plan", DATABASE_URL=weak, APP_ENV="production") == 2
    assert "sslmode" in capsys.readouterr().err


def test_help_tells_the_exit_codes(gtsd_migrate: Cli, capsys: Output) -> None:
    """A playbook is written from it."""
    for command in ("up", "down", "status", "plan", "verify", "dump"):
        with pytest.raises(SystemExit):
            gtsd_migrate(command, "--help")
        assert "3  a lock was not had within the budget" in capsys.readouterr().out
