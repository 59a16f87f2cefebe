"""The database: who may come in and do what, and that no run makes it worse."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.fleet.machines import commands
from tests.fleet.machines.tested import TestedFleet

pytestmark = [pytest.mark.shape("small", "full"), pytest.mark.both_releases]

PKI = "/etc/gtsd/pki"
LEADERS = ("leader", "master", "primary")
# ttl 20 s, then the election, the promotion and a busy machine.
FAILOVER = 60.0


def cluster(fleet: TestedFleet, name: str) -> list[dict[str, Any]]:
    """The members as Patroni on a host tells them to anyone."""
    told = ask(fleet, name, name, "/cluster")
    members: list[dict[str, Any]] = json.loads(told or '{"members": []}')["members"]
    return members


def ask(fleet: TestedFleet, source: str, target: str, path: str, *more: str) -> str:
    """Patroni's answer to somebody on the host ``source``; empty where there is none."""
    authority = f"{fleet.root(source)}{PKI}/ca.pem"
    url = f"https://{fleet.address(target)}:8008{path}"
    command = ["curl", "-s", "-m", "5", "--noproxy", "*", "--cacert", authority, *more, url]
    return fleet.run_beside(source, command).stdout


def primary(fleet: TestedFleet, asked: str) -> str | None:
    """The host that is the primary, as one of them sees it."""
    members = [one for one in cluster(fleet, asked) if one["role"] in LEADERS]
    running = [one["name"].split(".")[0] for one in members if one["state"] == "running"]
    return running[0] if running else None


def is_whole(fleet: TestedFleet, asked: str) -> bool:
    """One primary, and everybody else follows it."""
    members = cluster(fleet, asked)
    states = [one["state"] for one in members]
    return (
        len(members) == len(fleet.names("database"))
        and primary(fleet, asked) is not None
        and set(states) <= {"running", "streaming"}
    )


def wait(until: Callable[[], object], seconds: float = FAILOVER) -> None:
    """Until it is so, or say that it never was."""
    assert commands.wait(lambda: bool(until()), seconds), "not so within the time"


def sql(fleet: TestedFleet, statement: str, database: str = "gtsd", name: str = "") -> str:
    """What the superuser is told over the socket, by default of the primary."""
    name = name or primary(fleet, fleet.names("database")[0]) or ""
    command = "runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -d %s -c %s"
    return str(fleet.host(name).check_output(command, database, statement))


def as_monitor(fleet: TestedFleet, mode: str = "verify-full", secret: str = "") -> tuple[int, str]:
    """What the role that metrics use is told on the primary's own host, over TCP."""
    where = primary(fleet, fleet.names("database")[0]) or ""
    password = secret or fleet.secrets["postgresql_monitor_password"]
    target = f"host={where}.gtsd.internal dbname=gtsd user=gtsd_monitor sslmode={mode}"
    told = fleet.host(where).run(
        "env PGPASSWORD=%s psql -XAtq -c 'SELECT 7' %s",
        password,
        f"{target} sslrootcert={PKI}/ca.pem",
    )
    return told.rc, told.stdout + told.stderr


def test_the_cluster_is_whole(fleet: TestedFleet) -> None:
    """One primary serves, and every other database host follows it."""
    for name in fleet.names("database"):
        assert is_whole(fleet, name)


def test_it_runs_as_was_promised(fleet: TestedFleet) -> None:
    """Checksums, TLS, scram, the slow-query log, and a client that is gone is noticed."""
    rows = sql(fleet, "SELECT name || '=' || setting FROM pg_settings").splitlines()
    found = dict(row.split("=", 1) for row in rows)
    assert found["data_checksums"] == found["ssl"] == found["log_lock_waits"] == "on"
    assert found["password_encryption"] == "scram-sha-256"
    assert found["client_connection_check_interval"] == "500"
    assert int(found["log_min_duration_statement"]) > 0
    assert {"pgaudit", "pg_stat_statements"} <= set(found["shared_preload_libraries"].split(","))
    several = len(fleet.names("database")) >= 3
    assert bool(found["synchronous_standby_names"]) == several


def test_only_tls_with_a_password_gets_in(fleet: TestedFleet) -> None:
    """Each rule for the network is hostssl with scram and one address."""
    for name in fleet.names("database"):
        rows = sql(
            fleet,
            "SELECT type || ' ' || auth_method || ' ' || coalesce(netmask, '')"
            " || ' ' || array_to_string(user_name, ',') FROM pg_hba_file_rules",
            name=name,
        ).splitlines()
        assert rows
        for row in rows:
            kind, method, mask, *users = row.split(" ")
            assert (kind, method) in {
                ("hostssl", "scram-sha-256"),
                ("local", "peer"),
                ("local", "scram-sha-256"),
            }, row
            assert kind == "local" or mask == "255.255.255.255", row
            assert method != "peer" or users == ["postgres"], row


def test_roles_can_do_their_work_and_nothing_else(fleet: TestedFleet) -> None:
    """The app writes rows but no tables; people only read; the owner alone makes tables."""
    sql(fleet, "SET ROLE gtsd_owner; CREATE TABLE IF NOT EXISTS of_a_test (n int)")
    try:
        for role, may in {
            "gtsd_app": "SELECT,INSERT,UPDATE,DELETE",
            "gtsd_readonly": "SELECT",
            "gtsd_backup": "SELECT",
            "gtsd_monitor": "",
        }.items():
            every = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]
            given = [
                right
                for right in every
                if sql(fleet, f"SELECT has_table_privilege('{role}', 'of_a_test', '{right}')")
                == "t"
            ]
            assert ",".join(given) == may, role
            assert sql(fleet, f"SELECT has_schema_privilege('{role}', 'public', 'CREATE')") == "f"
            assert sql(fleet, f"SELECT has_database_privilege('{role}', 'gtsd', 'CREATE')") == "f"
    finally:
        sql(fleet, "DROP TABLE of_a_test")
    strong = "rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls"
    assert sql(fleet, f"SELECT rolname FROM pg_roles WHERE {strong}") == "postgres"
    assert sql(fleet, "SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'postgres'") == "t"


def test_a_role_gets_in_with_its_password_over_tls_only(fleet: TestedFleet) -> None:
    """The same question with another password, and without TLS, is refused."""
    assert as_monitor(fleet) == (0, "7\n")
    code, told = as_monitor(fleet, secret="not the password")
    assert code != 0
    assert "password authentication failed" in told
    code, told = as_monitor(fleet, mode="disable")
    assert code != 0
    assert "no encryption" in told


def test_no_log_and_no_statistics_know_a_password(fleet: TestedFleet) -> None:
    """Neither passwords nor what they are checked with; the control is a line that is there."""
    for name in fleet.names("database"):
        journal = fleet.host(name).check_output("journalctl -u patroni --no-pager -o cat")
        assert "database system is ready" in journal
        assert "SCRAM-SHA-256$" not in journal
        for secret in fleet.secrets.values():
            assert secret not in journal
    seen = sql(
        fleet, "SELECT count(*) FROM pg_stat_statements WHERE query ~ 'SCRAM-SHA'", "postgres"
    )
    assert seen == "0"


def test_only_a_member_may_change_the_cluster(fleet: TestedFleet) -> None:
    """Anyone may ask who is the primary; a change wants a certificate and a member's place."""
    name = fleet.names("database")[0]
    code = ("-o", "/dev/null", "-w", "%{http_code}")
    patch = (*code, "-X", "PATCH", "-d", '{"loop_wait": 5}')
    assert ask(fleet, name, name, "/cluster", *code) == "200"
    assert ask(fleet, name, name, "/config", *patch) == "403"
    assert ask(fleet, name, name, "/config", *patch, *_shown(fleet, name, "patroni")) == "200"
    for other in set(fleet.names("app")) - set(fleet.names("database")):
        shown = _shown(fleet, other, "haproxy")
        assert ask(fleet, other, name, "/config", *patch, *shown) == "403"


def _shown(fleet: TestedFleet, name: str, leaf: str) -> tuple[str, ...]:
    folder = f"{fleet.root(name)}{PKI}/{leaf}"
    return ("--cert", f"{folder}/cert.pem", "--key", f"{folder}/key.pem")


def test_its_sandbox_is_tight(fleet: TestedFleet) -> None:
    """systemd's own measure, of which 10 is the worst."""
    told = fleet.host(fleet.names("database")[0]).check_output("systemd-analyze security patroni")
    assert float(told.rsplit("level for patroni.service:", 1)[1].split()[0]) <= 2.5
