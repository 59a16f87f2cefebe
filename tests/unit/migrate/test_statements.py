"""Where statements end, by PostgreSQL's rules."""

from __future__ import annotations

import pytest

from gtsd.migrate.statements import Unterminated, split


def codes(sql: str) -> list[str]:
    return [statement.code for statement in split(sql)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        (";;SELECT 1;;", ["SELECT 1"]),
        ("-- a; b\nSELECT -- c; d\n 1;", ["SELECT 1"]),
        ("/* a; /* b; */ c; */ SELECT /* d; */ 1;", ["SELECT 1"]),
        ("SELECT 'a;''b;', E'\\';', \"c;\"\"d;\", U&'e;'", ["SELECT '', '', \"c;\"\"d;\", U&''"]),
        ("DO $$ a; $b$ $$; DO $x$ $$; $x$", ["DO ''", "DO ''"]),
        ("SELECT $1, a$b$c; SELECT 2", ["SELECT $1, a$b$c", "SELECT 2"]),
        ("CREATE RULE r AS DO ALSO (a; b); c", ["CREATE RULE r AS DO ALSO (a; b)", "c"]),
        (
            "CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE 1 WHEN 2 THEN 3 END; x; END; y",
            ["CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE 1 WHEN 2 THEN 3 END; x; END", "y"],
        ),
        ("  \n -- nothing\n", []),
    ],
)
def test_a_statement_ends_where_postgresql_ends_it(sql: str, expected: list[str]) -> None:
    """Semicolons in quotes, comments, rules and function bodies end nothing."""
    assert codes(sql) == expected


def test_a_statement_knows_its_line_and_its_own_text() -> None:
    """The line is where its first word is; the text is what is sent to the server."""
    first, second = split("-- head\n\nSELECT\n  'a;b';\n/* c */\n  SELECT 2 -- tail\n")
    assert (first.line, first.text) == (3, "SELECT\n  'a;b'")
    assert (second.line, second.text) == (6, "SELECT 2 -- tail")


@pytest.mark.parametrize("sql", ["SELECT 1;\nSELECT 'a", 'SELECT 1;\nSELECT "a', "a;\n/* /* */"])
def test_a_quote_that_never_closes_is_told_with_its_line(sql: str) -> None:
    """Cut off silently, the rest of the file would be one literal."""
    with pytest.raises(Unterminated, match="opened in line 2"):
        split(sql)


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("CREATE INDEX CONCURRENTLY IF NOT EXISTS a_b ON a (b)", "a_b"),
        ("create unique index\nconcurrently /* x */ if not exists A_B on a (b)", "a_b"),
        ('CREATE INDEX CONCURRENTLY IF NOT EXISTS "A ""b" ON a (b)', 'A "b'),
        ("CREATE INDEX a_b ON a (b)", None),
        ("DROP INDEX CONCURRENTLY IF EXISTS a_b", None),
    ],
)
def test_an_index_built_concurrently_is_known_by_its_name(sql: str, name: str | None) -> None:
    """As the catalogue has it: folded to lower case unless it is quoted."""
    assert split(sql)[0].builds_index == name
