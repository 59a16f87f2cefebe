"""Unsafe DDL is refused, its safe twin is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from gtsd.migrate import lint
from gtsd.migrate.errors import BadFiles, MigrationError
from tests.api.migrate.support import Folder

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / ".squawk.toml"
CREATE = "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n bigint);\n"


@pytest.fixture(scope="module")
def squawk() -> str:
    """The program; without it this promise is not kept, so nothing is skipped."""
    return lint.find_squawk()


UNSAFE = [
    ("require-concurrent-index-creation", "CREATE INDEX t_n ON t (n)"),
    ("require-concurrent-index-deletion", "DROP INDEX t_n"),
    ("adding-not-nullable-field", "ALTER TABLE t ALTER COLUMN n SET NOT NULL"),
    ("adding-required-field", "ALTER TABLE t ADD COLUMN d text NOT NULL"),
    ("adding-field-with-default", "ALTER TABLE t ADD COLUMN d uuid DEFAULT gen_random_uuid()"),
    ("changing-column-type", "ALTER TABLE t ALTER COLUMN n TYPE text"),
    ("renaming-column", "ALTER TABLE t RENAME COLUMN n TO m"),
    ("renaming-table", "ALTER TABLE t RENAME TO u"),
    ("constraint-missing-not-valid", "ALTER TABLE t ADD CONSTRAINT c CHECK (n > 0)"),
    (
        "adding-foreign-key-constraint",
        "ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (n) REFERENCES u",
    ),
    ("disallowed-unique-constraint", "ALTER TABLE t ADD CONSTRAINT c UNIQUE (n)"),
    (
        "constraint-missing-not-valid",
        "ALTER TABLE t ADD CONSTRAINT c CHECK (n) NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT c",
    ),
    ("ban-drop-column", "ALTER TABLE t DROP COLUMN n"),
    ("ban-drop-table", "DROP TABLE t"),
    ("ban-disable-trigger", "ALTER TABLE t DISABLE TRIGGER ALL"),
    ("prefer-identity", "CREATE TABLE u (id serial PRIMARY KEY)"),
    ("prefer-timestamp-tz", "CREATE TABLE u (at timestamp)"),
    ("checked-column", "ALTER TABLE t ADD COLUMN d text CHECK (length(d) < 9)"),
    ("numbered-column", "ALTER TABLE t ADD d bigint GENERATED ALWAYS AS IDENTITY"),
    ("rewrite-under-lock", "ALTER TABLE t SET UNLOGGED"),
    ("rewrite-under-lock", "REFRESH MATERIALIZED VIEW v"),
    ("every-row-at-once", "UPDATE t SET n = 1"),
    ("every-row-at-once", "DELETE FROM ONLY t"),
    ("truncate", "TRUNCATE t"),
    ("explicit-lock", "LOCK TABLE t"),
]


@pytest.mark.parametrize(("rule", "statement"), UNSAFE)
def test_an_unsafe_statement_is_refused_by_name(
    folder: Folder, squawk: str, rule: str, statement: str
) -> None:
    """With the file, the line and what to write instead."""
    folder.add("0001_a", f"{statement};", "DROP VIEW v;")
    findings = lint.lint(folder.path, squawk, CONFIG)
    assert rule in [finding.rule for finding in findings]
    first = findings[0]
    assert str(first).startswith(f"0001_a.sql:6: {first.rule}: ")
    assert first.advice


@pytest.mark.parametrize(
    "statement",
    [
        CREATE + "CREATE INDEX t_n ON t (n)",
        CREATE + "ALTER TABLE t ADD CONSTRAINT c CHECK (n > 0)",
        CREATE + "ALTER TABLE t ADD COLUMN d text CHECK (length(d) < 9)",
        CREATE + "UPDATE t SET n = 1",
        "ALTER TABLE t ADD COLUMN d text",
        "ALTER TABLE t ADD COLUMN d text NOT NULL DEFAULT ''",
        "ALTER TABLE t ADD COLUMN d timestamptz NOT NULL DEFAULT now()",
        "ALTER TABLE t ADD CONSTRAINT c CHECK (n > 0) NOT VALID",
        "ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (n) REFERENCES u NOT VALID",
        "ALTER TABLE t VALIDATE CONSTRAINT c",
        "ALTER TABLE t VALIDATE CONSTRAINT c; ALTER TABLE t ALTER COLUMN n SET NOT NULL",
        "ALTER TABLE t ADD CONSTRAINT c UNIQUE USING INDEX t_n",
        "UPDATE t SET n = 1 WHERE id < 50",
    ],
)
def test_the_safe_twin_of_a_statement_is_accepted(
    folder: Folder, squawk: str, statement: str
) -> None:
    """On a table that is created in the same file nobody waits."""
    folder.add("0001_a", f"{statement};", "ALTER TABLE t DROP COLUMN d;")
    assert lint.lint(folder.path, squawk, CONFIG) == []


def test_indexes_built_and_dropped_concurrently_are_accepted(folder: Folder, squawk: str) -> None:
    """In a file without a transaction."""
    folder.add(
        "0001_a",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (n); ALTER TABLE t VALIDATE CONSTRAINT c;",
        "DROP INDEX CONCURRENTLY IF EXISTS i;",
        none=True,
    )
    assert lint.lint(folder.path, squawk, CONFIG) == []


@pytest.mark.parametrize("statement", ["DROP TABLE t", "ALTER TABLE t DROP COLUMN n"])
def test_what_nobody_uses_any_more_goes_in_a_contract_migration(
    folder: Folder, squawk: str, statement: str
) -> None:
    """The same statement is refused in an expand migration; renames are refused in both."""
    folder.add("0001_a", f"{statement};", "ALTER TABLE t ADD COLUMN n bigint;", phase="contract")
    assert lint.lint(folder.path, squawk, CONFIG) == []
    folder.add("0002_b", "ALTER TABLE t RENAME TO u;", phase="contract")
    assert [f.rule for f in lint.lint(folder.path, squawk, CONFIG)] == ["renaming-table"]


def test_an_undo_is_held_to_the_same_rules(folder: Folder, squawk: str) -> None:
    """It may drop what its migration made, but not stop the service for it."""
    folder.add("0001_a", "ALTER TABLE t ADD COLUMN d text;", "ALTER TABLE t RENAME TO u;")
    assert [(f.file, f.rule) for f in lint.lint(folder.path, squawk, CONFIG)] == [
        ("0001_a.undo.sql", "renaming-table")
    ]


def test_an_exception_from_a_rule_needs_its_reason(folder: Folder, squawk: str) -> None:
    """On the line above; a whole file is never exempt."""
    ignore = "-- squawk-ignore renaming-table\nALTER TABLE t RENAME TO u;"
    folder.add("0001_a", f"-- no release has used it yet\n{ignore}")
    assert lint.lint(folder.path, squawk, CONFIG) == []
    folder.add("0001_a", f"\n{ignore}")
    assert [(f.line, f.rule) for f in lint.lint(folder.path, squawk, CONFIG)] == [
        (7, "unexplained-ignore")
    ]
    folder.add("0001_a", f"-- why\n-- squawk-ignore-file renaming-table\n{ignore}")
    rules = [f.rule for f in lint.lint(folder.path, squawk, CONFIG)]
    assert rules == ["unexplained-ignore", "unexplained-ignore"]


def test_statements_that_cannot_be_parsed_are_refused(folder: Folder, squawk: str) -> None:
    """Before a database has to say so."""
    folder.add("0001_a", "CREATE TABEL t (n bigint);")
    assert {f.rule for f in lint.lint(folder.path, squawk, CONFIG)} == {"syntax-error"}


def test_the_command_returns_two_with_findings_and_nothing_without(
    folder: Folder, squawk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `make lint` calls."""
    arguments = [str(folder.path), "--config", str(CONFIG)]
    folder.add("0001_a", "TRUNCATE t;")
    assert lint.main([*arguments, "--squawk", squawk]) == 2
    assert capsys.readouterr().out.startswith("0001_a.sql:6: truncate: ")
    folder.add("0001_a", "SELECT 1;")
    assert lint.main(arguments) == 0
    folder.write("0001_a.sql", "SELECT 1;")
    assert lint.main(arguments) == BadFiles.exit_code
    assert "header 'phase' is missing" in capsys.readouterr().err


def test_the_migrations_of_this_project_pass_the_lint(squawk: str) -> None:
    """Those that will run in production."""
    assert lint.lint(ROOT / "migrations", squawk, CONFIG) == []


def test_a_lint_that_could_not_run_is_not_a_pass(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, squawk: str
) -> None:
    """A program that is missing or fails has found nothing, which is not the same as all well."""
    folder.add("0001_a", "SELECT 1;")
    with pytest.raises(MigrationError, match="squawk did not work: .*No such file"):
        lint.lint(folder.path, squawk, tmp_path / "absent.toml")
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(Path(squawk).parent))
    assert lint.find_squawk() == squawk
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MigrationError, match="install squawk-cli"):
        lint.find_squawk()
