"""The pool of an app host: who may use it, that it verifies, and that plays can hold it back."""

from __future__ import annotations

import shlex

import pytest

from tests.fleet.machines.tested import TestedFleet

SOCKET = "/run/pgbouncer/.s.PGSQL.6432"
CONSOLE = "runuser -u pgbouncer -- psql -XqAt -h /run/pgbouncer -p 6432 -U pgbouncer pgbouncer"
BOTH = pytest.mark.shape("small", "full")


def query(fleet: TestedFleet, sql: str, *, secret: str = "", patience: int = 30) -> str:
    """What the service's user is told by the pool; an error, too."""
    password = secret or fleet.secrets["postgresql_app_password"]
    told: str = (
        fleet.host(fleet.names("app")[0])
        .run(
            f"PGPASSWORD={password} timeout {patience} psql -XAt -h /run/pgbouncer -p 6432"
            f" -U gtsd_app gtsd -c {shlex.quote(sql)} 2>&1"
        )
        .stdout
    )
    return told.strip()


@BOTH
@pytest.mark.both_releases
def test_the_service_reaches_the_primary(fleet: TestedFleet) -> None:
    """By the socket, over TLS; with a wrong password it reaches nothing."""
    sql = (
        "select not pg_is_in_recovery() and ssl and version in ('TLSv1.2', 'TLSv1.3')"
        " from pg_stat_ssl where pid = pg_backend_pid()"
    )
    assert query(fleet, sql) == "t"
    assert "failed" in query(fleet, sql, secret="not-the-password")


def test_only_the_service_may_open_the_socket(fleet: TestedFleet) -> None:
    """Its group; another account of the host may not even try passwords."""
    host = fleet.host(fleet.names("app")[0])
    assert host.check_output(f"stat -c '%U %G %a' {SOCKET}") == "pgbouncer gtsd 770"
    tried = "psql -h /run/pgbouncer -p 6432 -U gtsd_app gtsd -wc 'select 1'"
    assert "Permission denied" in host.run(f"runuser -u nobody -- {tried}").stderr
    assert "password" in host.run(f"runuser -u nobody -g gtsd -- {tried}").stderr


def test_its_passwords_are_for_root_and_itself(fleet: TestedFleet) -> None:
    """And it is not the account that owns the data where the host is a database as well."""
    host = fleet.host(fleet.names("app")[0])
    found = host.file("/etc/pgbouncer/gtsd-users.txt")
    assert (found.user, found.group, found.mode) == ("root", "pgbouncer", 0o640)
    assert host.check_output("ps -o user= -C pgbouncer").split() == ["pgbouncer"]


def test_the_budget_is_kept(fleet: TestedFleet) -> None:
    """However many clients ask, PostgreSQL sees no more connections than the pool may have."""
    host = fleet.host(fleet.names("app")[0])
    config = dict(
        line.split("|")[:2] for line in host.check_output(f"{CONSOLE} -c 'SHOW CONFIG'").split("\n")
    )
    size = int(config["default_pool_size"])
    assert int(config["max_db_connections"]) == size
    one = "psql -XAtq -h /run/pgbouncer -p 6432 -U gtsd_app gtsd -c 'select pg_sleep(0.5)'"
    password = fleet.secrets["postgresql_app_password"]
    host.check_output(
        f"export PGPASSWORD={password}; for n in $(seq {size + 10}); do ({one} >/dev/null) & done;"
        " wait"
    )
    servers = host.check_output(f"{CONSOLE} -c 'SHOW SERVERS'").split("\n")
    assert len([line for line in servers if "|gtsd|" in line]) <= size


def test_a_pause_makes_transactions_wait_and_none_fail(fleet: TestedFleet) -> None:
    """By the console that plays use, which needs no password from the pool's own account."""
    host = fleet.host(fleet.names("app")[0])
    host.check_output(f"{CONSOLE} -c 'PAUSE gtsd'")
    try:
        assert query(fleet, "select 42", patience=3) == ""
        host.check_output(
            "systemd-run --quiet --on-active=2 --timer-property=AccuracySec=100ms"
            f" {CONSOLE} -c 'RESUME gtsd'"
        )
        assert query(fleet, "select 42") == "42"
    finally:
        host.run(f"{CONSOLE} -c 'RESUME gtsd'")


@pytest.mark.shape("full")
def test_a_planned_switchover_fails_no_transaction(fleet: TestedFleet) -> None:
    """They wait for the new primary, for seconds and not for a minute and a half."""
    host = fleet.host(fleet.names("app")[0])
    password = fleet.secrets["postgresql_app_password"]
    one = "psql -XAtq -h /run/pgbouncer -p 6432 -U gtsd_app gtsd -c 'select pg_is_in_recovery()'"
    loop = f"for n in $(seq 150); do {one} || echo failed; sleep 0.1; done"
    host.check_output(
        "systemd-run --quiet --unit=gtsd-try --property=StandardOutput=file:/tmp/gtsd-try"
        f" --setenv=PGPASSWORD={password} sh -c {shlex.quote(loop)}"
    )
    database = fleet.host(fleet.names("database")[0])
    database.check_output("patronictl -c /etc/patroni/config.yml switchover gtsd --force")
    host.check_output("while systemctl is-active --quiet gtsd-try; do sleep 1; done")
    told = host.check_output("cat /tmp/gtsd-try; rm /tmp/gtsd-try").split()
    assert told == ["f"] * 150


@BOTH
@pytest.mark.both_releases
def test_other_cas_are_read_without_a_restart(fleet: TestedFleet) -> None:
    """It has no certificate whose renewal would tell it; once it knows them, nothing is done."""
    host = fleet.host(fleet.names("app")[0])
    stamp, pid = "/etc/pgbouncer/.taken", "systemctl show -P MainPID pgbouncer"
    trusted = host.check_output("sha1sum < /etc/gtsd/pki/ca.pem").split()[0]
    before = host.check_output(pid)
    host.check_output(f"grep -q {trusted} {stamp} && sed -i s/{trusted}/others/ {stamp}")
    play = fleet.play("renew.yml")
    assert play.rc == 0, play.stdout
    assert any("Reload PgBouncer" in line for line in play.changes), play.changes
    assert trusted in host.file(stamp).content_string
    assert host.check_output(pid) == before
    assert fleet.play("renew.yml").changed == 0
