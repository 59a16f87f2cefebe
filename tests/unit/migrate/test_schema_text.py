"""A dump's text: what is taken out, what stays, how a difference is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from gtsd.migrate import schema
from gtsd.migrate.errors import Drift, MigrationError

DUMP = """\
--
-- PostgreSQL database dump
--

\\restrict x7
-- Dumped by pg_dump version 17.10

SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);



CREATE FUNCTION public.f() RETURNS void
    LANGUAGE plpgsql
    AS $$
-- stays
SET x = 1;


$$;

SET default_table_access_method = heap;

CREATE TABLE public.a (
    b text
);

\\unrestrict x7
"""


def test_only_what_belongs_to_the_schema_stays() -> None:
    """Versions, settings and random words go; the body of a function is not touched."""
    text = schema.normalise(DUMP)
    assert text.splitlines()[2:] == [
        "CREATE FUNCTION public.f() RETURNS void",
        "    LANGUAGE plpgsql",
        "    AS $$",
        "-- stays",
        "SET x = 1;",
        "",
        "",
        "$$;",
        "",
        "CREATE TABLE public.a (",
        "    b text",
        ");",
    ]
    assert schema.normalise(text).splitlines()[2:] == text.splitlines()[2:]


def test_a_difference_is_shown_line_by_line(tmp_path: Path) -> None:
    """A missing dump differs from everything, an equal one from nothing."""
    path = tmp_path / "schema.sql"
    with pytest.raises(Drift, match=r"\+CREATE TABLE a"):
        schema.refuse_difference("CREATE TABLE a\n", path)
    path.write_text("CREATE TABLE b\n")
    with pytest.raises(Drift, match=r"-CREATE TABLE b\n\+CREATE TABLE a"):
        schema.refuse_difference("CREATE TABLE a\n", path)
    schema.refuse_difference("CREATE TABLE b\n", path)


def test_the_systems_pg_dump_is_found_where_none_is_bundled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host in production has the package of its distribution, or is told to."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MigrationError, match="postgresql-client"):
        schema.find_pg_dump()
    program = tmp_path / "pg_dump"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert schema.find_pg_dump() == str(program)


def test_a_pg_dump_that_does_not_work_is_told(tmp_path: Path) -> None:
    """Missing or failing: one sentence, without the password."""
    url = "postgresql://ann:s3cr3t-word@127.0.0.1:1/none"
    with pytest.raises(MigrationError, match="did not work"):
        schema.dump(url, {}, str(tmp_path / "absent"))
    with pytest.raises(MigrationError, match="pg_dump failed: .*refused") as caught:
        schema.dump(url, {})
    assert "s3cr3t-word" not in str(caught.value)
