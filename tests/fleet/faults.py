"""Faults as they happen, made on a fleet: each ends what it began, whatever happens meanwhile."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from tests.fleet.machines.tested import TestedFleet
from tests.fleet.test_postgresql import primary, sql

_SOCKETS = "gtsd-api@1.socket gtsd-api@2.socket gtsd-api@1.service gtsd-api@2.service"
_HOG = "import time; held = bytearray(%d * 2**20); time.sleep(3600)"
# What the outside client writes; of its requests 40 % are writes.
_WRITTEN = ("tasks", "evidence")
_LOCKER = "gtsd-alert-locker"


@contextmanager
def api_stopped(fleet: TestedFleet) -> Iterator[None]:
    """All instances are off, and nobody starts them when a request comes."""
    hosts = [fleet.host(name) for name in fleet.names("app")]
    try:
        for host in hosts:
            host.check_output(f"systemctl stop {_SOCKETS}")
        yield
    finally:
        for host in hosts:
            host.check_output("systemctl start gtsd-api@1.socket gtsd-api@2.socket")
            host.check_output("systemctl start gtsd-api@1.service gtsd-api@2.service")


@contextmanager
def postgresql_stopped(fleet: TestedFleet) -> Iterator[None]:
    """With Patroni, which would start it again."""
    host = fleet.host(fleet.names("database")[0])
    host.check_output("systemctl stop patroni")
    try:
        yield
    finally:
        host.check_output("systemctl start patroni")


@contextmanager
def wrong_password(fleet: TestedFleet) -> Iterator[None]:
    """Another password than the pool has, and no connection left of before."""
    own = sql(fleet, "SELECT rolpassword FROM pg_authid WHERE rolname = 'gtsd_app'", "postgres")
    sql(fleet, "ALTER ROLE gtsd_app PASSWORD 'another-one-than-that'", "postgres")
    ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    sql(fleet, f"{ended} WHERE usename = 'gtsd_app'", "postgres")
    try:
        yield
    finally:
        sql(fleet, f"ALTER ROLE gtsd_app PASSWORD '{own.strip()}'", "postgres")


@contextmanager
def memory_used_up(fleet: TestedFleet) -> Iterator[None]:
    """Somebody in the worker's own group takes what is left of its memory, but for a twentieth."""
    host = fleet.host(fleet.names("app")[0])
    limit = int(host.check_output("systemctl show -P MemoryMax gtsd-worker")) // 2**20
    used = int(host.check_output("systemctl show -P MemoryCurrent gtsd-worker")) // 2**20
    group = host.check_output("systemctl show -P ControlGroup gtsd-worker")
    both = f"/sys/fs/cgroup/memory{group} /sys/fs/cgroup{group}"
    folder = f"$(ls -d {both} 2>&1 | grep -v ' ' | head -1)"
    act = shlex.quote(_HOG % (limit * 95 // 100 - used))
    enter = f"echo $$ >{folder}/cgroup.procs; exec python3 -c {act}"
    host.check_output(f"sh -c {shlex.quote(enter)} >/dev/null 2>&1 & echo $! >/run/gtsd-hog")
    try:
        yield
    finally:
        host.check_output("kill $(cat /run/gtsd-hog); rm /run/gtsd-hog")


@contextmanager
def archive_broken(fleet: TestedFleet) -> Iterator[None]:
    """The archive command fails, and there is something to archive."""
    sql(fleet, "ALTER SYSTEM SET archive_command = 'false'", "postgres")
    sql(fleet, "SELECT pg_reload_conf()", "postgres")
    sql(fleet, "CREATE TABLE alert_try AS SELECT 1 AS x; DROP TABLE alert_try", "postgres")
    sql(fleet, "SELECT pg_switch_wal()", "postgres")
    try:
        yield
    finally:
        sql(fleet, "ALTER SYSTEM RESET archive_command", "postgres")
        sql(fleet, "SELECT pg_reload_conf()", "postgres")


@contextmanager
def poison_job(fleet: TestedFleet) -> Iterator[None]:
    """A job at its last try whose arguments no code takes."""
    args = '{"arguments": {"poison": 1}, "trace": {}}'
    columns = "queue_name, task_name, priority, args, attempts"
    made = f"INSERT INTO procrastinate_jobs ({columns}) VALUES"
    sql(fleet, f"{made} ('nightly', 'close_days', 0, '{args}', 9)")
    try:
        yield
    finally:
        sql(fleet, f"DELETE FROM procrastinate_jobs WHERE args = '{args}'")


@contextmanager
def certificate_ends(fleet: TestedFleet) -> Iterator[None]:
    """A leaf that has lived for four fifths of its time."""
    host = fleet.host(fleet.names("app")[0])
    day = 86400
    begins, ends = (
        time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + days * day)) for days in (-24, 6)
    )
    folder = "/etc/gtsd/pki/alert-try"
    host.check_output(
        f"mkdir -p {folder} && cd {folder} && openssl req -new -newkey ec -pkeyopt"
        f" ec_paramgen_curve:P-256 -nodes -keyout key.pem -out try.csr -subj /CN=try 2>/dev/null"
        f" && touch index && echo 01 >serial && printf '[ca]\\ndefault_ca=d\\n[d]\\n"
        f"database=index\\nserial=serial\\nnew_certs_dir=.\\ndefault_md=sha256\\npolicy=p\\n[p]\\n"
        f"commonName=supplied\\n' >ca.cnf && openssl ca -batch -config ca.cnf -selfsign -in try.csr"
        f" -keyfile key.pem -startdate {begins} -enddate {ends} -notext -out cert.pem 2>/dev/null"
    )
    try:
        yield
    finally:
        host.check_output(f"rm -r {folder}")


@contextmanager
def drill_fails(fleet: TestedFleet) -> Iterator[None]:
    """The backups are where the drill does not look; afterwards one drill passes."""
    host = fleet.host(fleet.names("backup")[0])
    folder = "/var/lib/gtsd-backup/backup/gtsd"
    host.check_output(f"mv {folder} {folder}-aside")
    try:
        host.run("systemctl start gtsd-drill")
        yield
    finally:
        host.check_output(f"mv {folder}-aside {folder}")
        host.check_output("systemctl start gtsd-drill")


@contextmanager
def _at_each_write(fleet: TestedFleet, name: str, act: str) -> Iterator[None]:
    """The database does that before it takes what a client writes."""
    body = f"BEGIN {act}; RETURN NEW; END"
    sql(fleet, f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
    # One table at a time: clients who hold one and want the other would be in each other's way.
    try:
        for table in _WRITTEN:
            made = f"CREATE TRIGGER {name} BEFORE INSERT ON {table} FOR EACH ROW"
            sql(fleet, f"{made} EXECUTE FUNCTION {name}()")
        yield
    finally:
        for table in _WRITTEN:
            sql(fleet, f"DROP TRIGGER IF EXISTS {name} ON {table}")
        sql(fleet, f"DROP FUNCTION {name}()")


@contextmanager
def a_tenth_fails(fleet: TestedFleet) -> Iterator[None]:
    """One write in four meets an error that no code expects, which is a tenth of all requests."""
    act = "IF random() < 0.25 THEN RAISE EXCEPTION 'an alert is tried'; END IF"
    with _at_each_write(fleet, "alert_try_failing", act):
        yield


@contextmanager
def writes_are_slow(fleet: TestedFleet) -> Iterator[None]:
    """Each write takes a second and a half in the database."""
    with _at_each_write(fleet, "alert_try_slow", "PERFORM pg_sleep(1.5)"):
        yield


@contextmanager
def table_locked(fleet: TestedFleet) -> Iterator[None]:
    """Somebody holds a table and does not commit; each request that wants it holds a connection."""
    host = fleet.host(primary(fleet, fleet.names("database")[0]) or "")
    act = "BEGIN; LOCK TABLE tasks; SELECT pg_sleep(900)"
    held = f"runuser -u postgres -- psql -Xq -d gtsd -c {shlex.quote(act)}"
    try:
        host.check_output(f"systemd-run --quiet --collect --unit={_LOCKER} {held}")
        yield
    finally:
        host.check_output(f"systemctl stop {_LOCKER}")


@dataclass(frozen=True)
class Fault:
    """An alert, what makes it fire, and in how many seconds it has to be told."""

    alert: str
    make: Callable[[TestedFleet], AbstractContextManager[None]]
    within: int
