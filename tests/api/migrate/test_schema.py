"""The project's own migrations: up, down, up, and the dump that is kept of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gtsd.migrate import cli, runner, schema
from gtsd.migrate.files import Migration, read_folder
from tests.api.migrate.conftest import Cli
from tests.api.migrate.support import Folder, rows

FOLDER = Path(__file__).parents[3] / "migrations"


def test_the_kept_dump_is_that_of_the_migrations(database_url: str) -> None:
    """After a change of a migration: `make schema`, and review the difference."""
    runner.up(database_url, FOLDER)
    schema.refuse_difference(schema.dump(database_url, os.environ), FOLDER / schema.FILE)


def test_up_down_and_up_again_give_the_same_schema(database_url: str) -> None:
    """Each undo takes back exactly what its migration brought, one step at a time."""
    dumps = [schema.dump(database_url, os.environ)]
    applied: list[Migration] = []
    while step := runner.up(database_url, FOLDER, to=len(applied) + 1):
        applied += step
        dumps.append(schema.dump(database_url, os.environ))
        if len(applied) == len(read_folder(FOLDER)):
            break
    for before in reversed(dumps[:-1]):
        runner.down(database_url, FOLDER, steps=1)
        assert schema.dump(database_url, os.environ) == before
    runner.up(database_url, FOLDER)
    assert schema.dump(database_url, os.environ) == dumps[-1]


def test_the_default_folder_is_the_one_of_the_checkout() -> None:
    """Nobody has to say in development where the migrations are."""
    assert cli.DEFAULT_FOLDER == FOLDER


def test_a_dump_is_written_and_verified(
    folder: Folder, gtsd_migrate: Cli, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table that nobody has migrated is seen; the ledger itself is no part of the schema."""
    folder.add("0001_a", "CREATE TABLE a (x text);", "DROP TABLE a;")
    assert gtsd_migrate("dump") == 1
    assert "run up first" in capsys.readouterr().err
    gtsd_migrate("up")
    assert gtsd_migrate("verify", "--schema") == 4
    assert gtsd_migrate("dump") == 0
    assert "gtsd_migrations" not in (folder.path / "schema.sql").read_text()
    assert gtsd_migrate("verify", "--schema") == 0
    rows(database_url, "CREATE TABLE by_hand (x text)")
    capsys.readouterr()
    assert gtsd_migrate("verify", "--schema") == 4
    assert "+CREATE TABLE public.by_hand (" in capsys.readouterr().err
