"""``gtsd db slow``: the statements that take the time stand first, for who may know them."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from gtsd.__main__ import run
from gtsd.db import Statement, since, top
from gtsd.dev.postgres import EmbeddedPostgres
from tests.conftest import FAST_POSTGRES
from tests.support.environments import DEVELOPMENT

SLOW = "SELECT pg_sleep(0.05)"
QUICK = "SELECT 41 + 1"
CANARY = "canary@example.org"
_COUNTS = {"shared_preload_libraries": "pg_stat_statements"}


@pytest.fixture(scope="module")
def server(_servers_folder: Path) -> Iterator[EmbeddedPostgres]:
    """One that counts statements, and has a role like gtsd_monitor."""
    folder = _servers_folder / "counting"
    with EmbeddedPostgres(folder, options={**FAST_POSTGRES, **_COUNTS}) as started:
        started.administer("CREATE EXTENSION pg_stat_statements")
        started.administer("CREATE ROLE watcher LOGIN PASSWORD 'x' IN ROLE pg_monitor")
        yield started


@pytest.fixture
def asked(server: EmbeddedPostgres) -> EmbeddedPostgres:
    """After one slow statement and twenty quick ones."""
    server.administer("SELECT pg_stat_statements_reset()")
    _ask(server, SLOW)
    for _ in range(20):
        _ask(server, QUICK)
    return server


def _ask(server: EmbeddedPostgres, statement: str, *values: object) -> None:
    with closing(psycopg2.connect(server.dsn())) as connection, connection.cursor() as cursor:
        cursor.execute(statement, values or None)


def _watcher(server: EmbeddedPostgres) -> str:
    return f"postgresql://watcher:x@127.0.0.1:{server.port}/postgres"


def call(url: str, *words: str) -> tuple[int, str, str]:
    """Exit status, output, errors."""
    out, errors = io.StringIO(), io.StringIO()
    status = run(["db", "slow", *words], {**DEVELOPMENT, "DATABASE_URL": url}, out, errors)
    return status, out.getvalue(), errors.getvalue()


def test_what_took_most_time_is_first(asked: EmbeddedPostgres) -> None:
    """Or what gave most rows, if that is asked for; for people and for programs."""
    status, text, errors = call(_watcher(asked), "--role", "gtsd")
    assert (status, errors) == (0, "")
    head, first, second = text.splitlines()[:3]
    columns = "share total_ms mean_ms max_ms calls rows read_blocks hit role query"
    assert head.split() == columns.split()
    assert "pg_sleep($1)" in first
    assert "pg_sleep" not in second
    told: list[dict[str, Any]] = json.loads(
        call(_watcher(asked), "--role", "gtsd", "--json", "--by", "rows", "--limit", "1")[1]
    )
    (one,) = told
    assert (one["query"], one["calls"], one["rows"]) == ("SELECT $1 + $2", 20, 20)


def test_what_people_wrote_is_not_shown(asked: EmbeddedPostgres) -> None:
    """The server keeps the shape of a statement; the search finds a constant where there is one."""
    _ask(asked, "SELECT length(%s)", CANARY)
    text = call(_watcher(asked), "--json")[1]
    assert "SELECT length($1)" in text
    assert CANARY not in text


def test_a_while_has_only_what_happened_in_it(asked: EmbeddedPostgres) -> None:
    """The slow statement of before does not stand in the way."""
    later = threading.Timer(0.3, _ask, (asked, "SELECT 'later'"))
    later.start()
    status, text, _ = call(_watcher(asked), "--during", "1", "--role", "gtsd")
    later.join()
    assert status == 0
    assert "pg_sleep" not in text
    assert text.splitlines()[1].split()[4] == "1"


def test_a_role_without_the_right_is_told_which(asked: EmbeddedPostgres) -> None:
    """Rather than shown a list of hidden texts as if that were all."""
    asked.administer("DROP ROLE IF EXISTS stranger")
    asked.administer("CREATE ROLE stranger LOGIN PASSWORD 'x'")
    url = _watcher(asked).replace("watcher", "stranger")
    status, _, errors = call(url)
    assert status == 1
    assert "pg_read_all_stats" in errors


def test_a_database_that_counts_nothing_says_so(server: EmbeddedPostgres) -> None:
    """The extension is missing there."""
    server.ensure_database("bare")
    status, text, errors = call(_watcher(server).replace("/postgres", "/bare"))
    assert (status, text) == (1, "")
    assert "does not count statements" in errors


def test_a_server_that_is_away_is_told_in_one_line(tmp_path: Path) -> None:
    """Without a traceback, and without the password."""
    status, text, errors = call("postgresql://gtsd:secret-1@127.0.0.1:1/postgres")
    assert (status, text, errors.count("\n")) == (1, "", 1)
    assert "secret-1" not in errors


def _statement(**fields: Any) -> Statement:
    zero = {"role": "r", "database": "d", "query": "q", "calls": 1, "total_ms": 1.0}
    rest = {"max_ms": 1.0, "rows": 0, "hit_blocks": 0, "read_blocks": 0}
    return Statement(**{**zero, **rest, **fields})


def test_counters_that_were_reset_meanwhile_count_as_new() -> None:
    """A difference below zero would be nonsense."""
    before = {(1,): _statement(calls=9, total_ms=90.0), (2,): _statement(calls=5)}
    after = {(1,): _statement(calls=2, total_ms=4.0), (2,): _statement(calls=5)}
    assert since(before, after) == {(1,): after[1,]}


def test_the_share_is_of_all_and_not_of_what_is_shown() -> None:
    """A limit of one would else always say 100 %."""
    both = [_statement(total_ms=30.0, query="a"), _statement(total_ms=10.0, query="b")]
    (first,) = top(both, "total_ms", 1)
    assert (first["query"], first["share"], first["hit"]) == ("a", 0.75, None)
