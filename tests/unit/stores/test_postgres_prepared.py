"""How a query becomes PREPARE and EXECUTE."""

from __future__ import annotations

from gtsd.stores.postgres import Query
from gtsd.stores.postgres_prepared import prepared


def test_parameters_are_numbered_in_the_order_of_their_first_use() -> None:
    """And handed over in the same order, each once."""
    how = prepared(Query("a", "SELECT %(b)s::int, %(a)s::int, %(b)s::int"))
    assert "AS SELECT $1::int, $2::int, $1::int$sql$" in how.prepare
    assert how.execute.endswith("(%(b)s, %(a)s)")


def test_each_statement_of_a_query_is_prepared() -> None:
    """They run in one message, which is one transaction."""
    how = prepared(Query("b", "SELECT 1; SELECT %(a)s::int;\n"))
    first, second = how.execute.split("; ")
    assert "(" not in first
    assert second.endswith("(%(a)s)")
    assert how.prepare.count("PREPARE gtsd_") == 2


def test_another_text_has_another_name() -> None:
    """During a release two versions of a query live in the same sessions of PgBouncer."""
    one, other = (prepared(Query("same", f"SELECT {n}")) for n in (1, 2))
    assert one.execute != other.execute
    assert prepared(Query("other", "SELECT 1")).execute == one.execute
