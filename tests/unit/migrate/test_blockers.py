"""How those who are in the way are told of."""

from __future__ import annotations

import pytest

from gtsd.migrate.blockers import Blocker, describe, redact


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (
            "SELECT 1\n  FROM t1 WHERE a = 'x''y' AND b > 12.5",
            "SELECT ? FROM t1 WHERE a = ? AND b > ?",
        ),
        ("UPDATE u SET email = 'a@example.org', h = E'\\\\x00'", "UPDATE u SET email = ?, h = E?"),
        ("SELECT $$a@example.org$$, $q$ 'b' $q$", "SELECT ?, ?"),
        ("SELECT 'cut off by track_activity_qu", "SELECT ?"),
        ("SELECT $$cut off", "SELECT ?"),
    ],
)
def test_values_are_taken_out_of_a_query(query: str, shown: str) -> None:
    """Literals are people's addresses and hashes; the shape is enough to find the program."""
    assert redact(query) == shown


def test_a_long_query_is_cut() -> None:
    """A line of a log has room for the beginning."""
    assert len(redact("SELECT a" + ", a" * 500)) == 160


def test_a_blocker_is_told_with_all_that_finds_it() -> None:
    """Process, user, application, state, age and query."""
    reader = Blocker(42, "ann", "nightly-dump", "idle in transaction", 61.24, "COPY t TO stdout")
    assert str(reader) == (
        "pid 42 (user ann, application nightly-dump, idle in transaction,"
        " transaction open for 61.2 s): COPY t TO stdout"
    )
    bare = Blocker(43, "bob", "", "active", None, None)
    assert str(bare) == "pid 43 (user bob, application ?, active): ?"
    prepared = Blocker(0, None, None, None, None, None)
    assert describe([bare, prepared]) == f"{bare}; a prepared transaction (see pg_prepared_xacts)"
    assert describe([]) == "somebody who was gone when we looked"
