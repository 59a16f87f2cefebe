"""Whatever was acknowledged can be had back, to the second, and nobody can take it away."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import pytest
from testinfra.backend.base import CommandResult

from tests.fleet.machines.plays import Play
from tests.fleet.machines.tested import TestedFleet
from tests.fleet.test_postgresql import primary, sql, wait

pytestmark = [
    pytest.mark.shape("small", "full"),
    pytest.mark.both_releases,
    pytest.mark.beside,
    pytest.mark.timeout(1200),
]

FOLDER = "/var/lib/gtsd-backup"
CONFIG = "/etc/pgbackrest/pgbackrest.conf"
DATABASE_CONFIG = "/etc/pgbackrest/database.conf"
ROWS = 14
# What may be lost with all database hosts at once: archive_timeout.
RPO = 60.0


def keeper(fleet: TestedFleet) -> str:
    """The host that keeps the backups."""
    return fleet.names("backup")[0]


def pgbackrest(fleet: TestedFleet, *words: str, user: str = "pgbackrest") -> CommandResult:
    """On the backup host, as the drill and people call it."""
    command = ["runuser", "-u", user, "--", "pgbackrest", f"--config={CONFIG}", "--stanza=gtsd"]
    line = " ".join(["%s"] * (len(command) + len(words)))
    return fleet.host(keeper(fleet)).run(line, *command, *words)


def backups(fleet: TestedFleet) -> list[dict[str, Any]]:
    """The backups that there are, the newest last."""
    told = pgbackrest(fleet, "info", "--output=json")
    assert told.rc == 0, told.stderr
    found: list[dict[str, Any]] = json.loads(told.stdout)[0]["backup"]
    return found


def back_up(fleet: TestedFleet, kind: str) -> dict[str, Any]:
    """By the playbook; the backup that it made."""
    before = {one["label"] for one in backups(fleet)}
    play = fleet.play("backup.yml", "-e", f"type={kind}")
    assert play.rc == 0, play.stdout[-3000:]
    made = [one for one in backups(fleet) if one["label"] not in before]
    assert len(made) == 1
    return made[0]


def switch(fleet: TestedFleet) -> None:
    """What has been written until now is in the archive."""
    segment = sql(fleet, "SELECT pg_walfile_name(pg_switch_wal())", "postgres")
    found = f"find {FOLDER}/archive/gtsd -name '{segment}-*.zst' | grep -q ."
    wait(lambda: fleet.host(keeper(fleet)).run(found).rc == 0)


def beside(fleet: TestedFleet, folder: str, *target: str) -> str:
    """Restored beside what runs and started as the playbook says; the rows of the test."""
    host = fleet.host(keeper(fleet))
    host.run("rm -rf %s", folder)
    play = fleet.play("restore.yml", "-e", f"beside={folder}", *target)
    assert play.rc == 0, play.stdout[-3000:]
    start = told(play, r"\S+/pg_ctl -D .* start")
    done = host.run(start)
    try:
        assert done.rc == 0, host.run("cat %s/beside.log", folder).stdout[-3000:]
        ask = f"runuser -u pgbackrest -- psql -XAtq -h {folder} -U postgres -d %s -c %s"
        in_recovery = "SELECT pg_is_in_recovery()"
        wait(lambda: host.run(ask, "postgres", in_recovery).stdout == "f\n", 120)
        rows = host.run(ask, "gtsd", "SELECT string_agg(n::text, ',' ORDER BY n) FROM of_a_backup")
        return str(rows.stdout.strip() if rows.rc == 0 else rows.stderr)
    finally:
        ctl = start.split(" -D ")[0]
        host.run(f"{ctl} -D {folder} -m immediate stop")
        host.run("rm -rf %s", folder)


def told(play: Play, what: str) -> str:
    """One of the lines that the play says to type, of which this is the end."""
    # However it was wrapped and quoted.
    plain = re.sub(r"\s+", " ", play.stdout.replace('\\"', '"').replace("\\\n", ""))
    found = re.search(f"runuser -u pgbackrest -- {what}", plain)
    assert found, play.stdout[-3000:]
    return found[0]


@pytest.fixture
def rows(fleet: TestedFleet) -> Iterator[None]:
    """A table for marks, gone afterwards."""
    sql(fleet, "DROP TABLE IF EXISTS of_a_backup")
    sql(fleet, "CREATE TABLE of_a_backup (n int PRIMARY KEY, at timestamptz)")
    yield
    sql(fleet, "DROP TABLE IF EXISTS of_a_backup")


def mark(fleet: TestedFleet, number: int) -> None:
    """A row, in a transaction of its own."""
    sql(fleet, f"INSERT INTO of_a_backup VALUES ({number}, clock_timestamp())")


@pytest.mark.shape("small", "full")
def test_a_restore_goes_to_the_second_and_no_further(fleet: TestedFleet, rows: None) -> None:
    """All rows up to the target and none after it; a later target has those, too."""
    back_up(fleet, "incr")
    for number in range(ROWS):
        mark(fleet, number)
        time.sleep(1)
    half, last = ROWS // 2, ROWS - 1
    stamp = "SELECT to_char((at + interval '%s') AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
    where = " FROM of_a_backup WHERE n = "
    target = sql(fleet, stamp % "0.4 s" + f"{where}{half}").strip() + "+00"
    later = sql(fleet, stamp % "0.4 s" + f"{where}{last}").strip() + "+00"
    sql(fleet, "DROP TABLE of_a_backup")
    switch(fleet)
    found = beside(fleet, "/var/lib/beside1", "-e", f"target_time='{target}'")
    assert found == ",".join(map(str, range(half + 1)))
    found = beside(fleet, "/var/lib/beside2", "-e", f"target_time='{later}'")
    assert found == ",".join(map(str, range(ROWS)))
    assert "does not exist" in beside(fleet, "/var/lib/beside3")


def _attempts(path: str, other: str) -> dict[str, str]:
    return {
        "overwrite": f"sh -c 'echo x >> {path}'",
        "rename": f"mv {path} {path}.gone",
        "replace": f"mv -f {other} {path}",
        "delete": f"rm -f {path}",
        "chmod": f"chmod 666 {path}",
    }


def test_a_database_host_cannot_take_back_what_it_has_sent(fleet: TestedFleet) -> None:
    """What its sessions may do on the backup host, before and after the seal, tried one by one."""
    host = fleet.host(keeper(fleet))
    switch(fleet)
    assert host.run("systemctl start gtsd-backup-seal.service").rc == 0
    found = host.check_output(f"find {FOLDER}/archive/gtsd -name '*.zst'").split()
    folder = PurePosixPath(found[0]).parent
    tried, other = f"{folder}/of-a-test", f"{folder}/of-a-test-2"

    def can(user: str, attempt: str) -> bool:
        """Whether the file is another one afterwards; each attempt begins with a fresh file."""
        before = host.run("stat -c '%%i %%s %%a' %s", tried).stdout
        command = _attempts(tried, other)[attempt]
        host.run(f"setpriv --reuid={user} --regid=gtsd-wal --clear-groups {command}")
        return bool(host.run("stat -c '%%i %%s %%a' %s", tried).stdout != before)

    def fresh() -> None:
        host.run(f"rm -f {tried} {tried}.gone {other}")
        for path in (tried, other):
            writer = "setpriv --reuid=gtsd-wal --regid=gtsd-wal --clear-groups"
            made = f"{writer} sh -c 'echo 1 > {path}'"
            assert host.run(made).rc == 0

    try:
        for attempt in _attempts(tried, other):
            fresh()
            assert can("gtsd-wal", attempt), f"{attempt}: the control failed"
            fresh()
            assert host.run("systemctl start gtsd-backup-seal.service").rc == 0
            # What comes later is the sender's for a minute: it shall not take the other's place.
            again = f"setpriv --reuid=gtsd-wal --regid=gtsd-wal --clear-groups touch {other}.new"
            assert host.run(again).rc == 0
            host.run(f"mv -f {other}.new {other}; chown gtsd-wal {other}")
            assert not can("gtsd-wal", attempt), attempt
            assert can("pgbackrest", attempt), f"{attempt}: the owner cannot"
    finally:
        host.run(f"rm -f {tried} {tried}.gone {other} {other}.new")
    for path in (f"{FOLDER}/of-a-test", f"{FOLDER}/backup/gtsd/of-a-test"):
        assert host.run(f"runuser -u gtsd-wal -- touch {path}").rc != 0
        assert host.run(f"runuser -u pgbackrest -- touch {path}").rc == 0
        assert host.run("rm %s", path).rc == 0


def test_the_seal_follows_no_link(fleet: TestedFleet) -> None:
    """Who may write into the archive could point root at any file: it is named, and left alone."""
    host = fleet.host(keeper(fleet))
    link, target = f"{FOLDER}/archive/gtsd/of-a-test", "/var/lib/of-a-test"
    seal = "/usr/local/sbin/gtsd-backup-seal"
    command = f"{seal} {FOLDER}/archive pgbackrest gtsd-wal"
    host.check_output(f"install -o root -m 600 /dev/null {target}")
    try:
        assert host.run(command).rc == 0
        assert host.run(f"runuser -u gtsd-wal -- ln -s {target} {link}").rc == 0
        told = host.run(command)
        assert told.rc == 1
        assert f"no plain file: {link}" in told.stderr
        assert host.check_output(f"stat -c %U:%a {target}") == "root:600"
    finally:
        host.run(f"rm -f {link} {target}")
    assert host.run(command).rc == 0


def test_a_certificate_of_another_server_opens_no_repository(fleet: TestedFleet) -> None:
    """Of the same CA and the same host: pgBackRest lets in the one that is meant for it alone."""
    host = fleet.host(fleet.names("database")[0])
    command = f"runuser -u postgres -- pgbackrest --config={DATABASE_CONFIG} --stanza=gtsd"
    leaf = "--repo1-host-cert-file=/etc/gtsd/pki/{0}/cert.pem"
    leaf += " --repo1-host-key-file=/etc/gtsd/pki/{0}/key.pem info"
    right = host.run(f"{command} {leaf.format('backup-database')}")
    assert right.rc == 0, right.stderr
    assert "status: ok" in right.stdout
    wrong = host.run(f"{command} {leaf.format('patroni')}")
    assert "status: ok" not in wrong.stdout, wrong.stdout
    assert "access denied" in wrong.stdout + wrong.stderr


def test_a_database_host_sends_to_the_right_server_alone(fleet: TestedFleet) -> None:
    """Under another name, or of another CA, it is not believed."""
    host = fleet.host(fleet.names("database")[0])
    command = f"runuser -u postgres -- pgbackrest --config={DATABASE_CONFIG} --stanza=gtsd"
    # The right server's address: newer versions take that for a name, too.
    alias = f"{fleet.address(keeper(fleet))} somebody.else.internal"
    host.check_output(f"sh -c \"echo '{alias}' >>/etc/hosts\"")
    try:
        for wrong, why in (
            ("--repo1-host=somebody.else.internal", "unable to find hostname"),
            ("--repo1-host-ca-file=/etc/ssl/certs/ca-certificates.crt", "unable to verify"),
        ):
            told = host.run(f"{command} {wrong} --io-timeout=5 --protocol-timeout=6 info")
            assert "status: ok" not in told.stdout, told.stdout
            assert why in told.stdout + told.stderr, told.stdout + told.stderr
    finally:
        host.check_output(f"sed -i '/^{alias}$/d' /etc/hosts")


def test_the_schema_changes_while_a_backup_goes_on(fleet: TestedFleet, rows: None) -> None:
    """DDL waits for no lock of a backup; with a reader in the way, the same DDL does not come."""
    host = fleet.host(keeper(fleet))
    ddl = "SET lock_timeout = '250ms'; ALTER TABLE of_a_backup ADD c{0} int; DROP TABLE IF EXISTS x"
    state = "systemctl show -P ActiveState gtsd-backup@full.service"
    assert host.run("systemctl start --no-block gtsd-backup@full.service").rc == 0
    wait(lambda: host.check_output(state) == "activating")
    during = 0
    while host.check_output(state) == "activating":
        sql(fleet, ddl.format(during))
        during += 1
    assert during >= 3
    assert host.check_output("systemctl show -P Result gtsd-backup@full.service") == "success"
    name = primary(fleet, fleet.names("database")[0]) or ""
    reader = "BEGIN; SELECT count(*) FROM of_a_backup; SELECT pg_sleep(8)"
    psql = "runuser -u postgres -- psql -XAtq -d gtsd"
    fleet.host(name).check_output(f"sh -c \"{psql} -c '{reader}' >/dev/null 2>&1 &\"")
    time.sleep(2)
    refused = fleet.host(name).run(f"{psql} -v ON_ERROR_STOP=1 -c %s", ddl.format("x"))
    assert "lock timeout" in refused.stderr


def test_a_flipped_byte_is_found(fleet: TestedFleet) -> None:
    """In a copy of the repository, which is whole until then."""
    host, copy = fleet.host(keeper(fleet)), "/var/lib/gtsd-flip"
    wait(lambda: backups(fleet), 120)
    try:
        assert host.run(f"rm -rf {copy}; cp -a {FOLDER} {copy}").rc == 0
        whole = pgbackrest(fleet, f"--repo1-path={copy}", "verify")
        assert _is_whole(whole), whole.stdout + whole.stderr
        file = host.check_output(f"find {copy}/backup/gtsd/2* -path '*bundle*' -type f | head -1")
        flip = (
            "import sys; f = open(sys.argv[1], 'r+b'); f.seek(5000); b = f.read(1);"
            " f.seek(5000); f.write(bytes([b[0] ^ 1]))"
        )
        assert host.run("python3 -c %s %s", flip, file).rc == 0
        broken = pgbackrest(fleet, f"--repo1-path={copy}", "verify")
        assert not _is_whole(broken), broken.stdout
    finally:
        host.run("rm -rf %s", copy)


def _is_whole(told: CommandResult) -> bool:
    text = told.stdout + told.stderr
    invalid = re.findall(r"(?:checksum invalid|size invalid|missing|other): (\d+)", text)
    return told.rc == 0 and not any(map(int, invalid)) and "ERROR" not in text
