"""Who may see the tables, and that they are no part of the schema that migrations make."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gtsd.deploys.tables import READERS
from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.migrate import schema
from tests.api.deploys.conftest import Deploys, acquired
from tests.api.migrate.support import rows

NAMES = Path(__file__).parents[3] / "playbooks" / "group_vars" / "all" / "names.yml"
RIGHTS = """
SELECT r.role, t.name, p.privilege
FROM unnest(ARRAY['gtsd_app', 'gtsd_readonly', 'gtsd_monitor']) AS r (role),
     unnest(ARRAY['gtsd_deploy_lease', 'gtsd_deploys', 'made_by_hand']) AS t (name),
     unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER', 'REFERENCES'])
         AS p (privilege)
WHERE has_table_privilege(r.role, t.name, p.privilege) ORDER BY 1, 2, 3
"""
ROLES = "gtsd_app, gtsd_readonly, gtsd_monitor"


@pytest.fixture
def roles(postgres_server: EmbeddedPostgres, database_url: str) -> Iterator[None]:
    """The roles of production, and what new tables of the owner give them there."""
    for role in ROLES.split(", "):
        postgres_server.administer(f"CREATE ROLE {role}")
    default = "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT"
    rows(database_url, f"{default} SELECT, INSERT, UPDATE, DELETE ON TABLES TO gtsd_app")
    rows(database_url, f"{default} SELECT ON TABLES TO gtsd_readonly")
    yield
    name = database_url.rpartition("/")[2]
    rows(postgres_server.admin_dsn(name), f"DROP OWNED BY {ROLES}")
    postgres_server.administer(f"DROP ROLE {ROLES}")


@pytest.mark.usefixtures("roles")
def test_the_app_has_no_right_and_readers_may_look(database_url: str, deploys: Deploys) -> None:
    """Though the app may write whatever else the owner makes: the table beside shows it."""
    rows(database_url, "CREATE TABLE made_by_hand (x int)")
    acquired(deploys)
    found = rows(database_url, RIGHTS)
    assert [row for row in found if row[0] == "gtsd_app"] == [
        ("gtsd_app", "made_by_hand", right) for right in ("DELETE", "INSERT", "SELECT", "UPDATE")
    ]
    assert [row for row in found if row[1] != "made_by_hand"] == [
        (role, table, "SELECT")
        for role in sorted(READERS)
        for table in ("gtsd_deploy_lease", "gtsd_deploys")
    ]


def test_the_readers_are_those_of_the_fleet() -> None:
    """By the names that the roles of Ansible use."""
    names = yaml.safe_load(NAMES.read_text())
    assert set(READERS) == {names["gtsd_database_readonly"], names["gtsd_database_monitor"]}


def test_the_dump_of_the_schema_is_the_same_with_and_without_them(
    migrated_database_url: str, database_url: str, deploys: Deploys
) -> None:
    """Tables, trigger and its function; another function is seen."""
    bare = schema.dump(database_url, os.environ)
    acquired(deploys)
    assert schema.dump(database_url, os.environ) == bare
    by_hand = "CREATE FUNCTION by_hand() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$"
    rows(database_url, by_hand)
    assert "by_hand" in schema.dump(database_url, os.environ)
    assert "gtsd_deploy" not in schema.dump(migrated_database_url, os.environ)


def test_a_database_that_refuses_is_exit_code_1(database_url: str, deploys: Deploys) -> None:
    """In its own words, and with what tells whether anything was done."""
    acquired(deploys)
    rows(database_url, "REVOKE SELECT ON gtsd_deploy_lease FROM CURRENT_USER")
    answer = deploys("lease")
    assert answer.status == 1
    assert answer.facts["error"].startswith("the database said: permission denied for table gtsd_")
    assert "`gtsd deploys lease` and `ledger` tell what is done" in answer.errors
