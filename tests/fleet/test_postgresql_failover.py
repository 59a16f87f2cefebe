"""The database outlives its hosts while somebody writes, and a run then changes nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import sleep

import pytest

from tests.fleet import database_writer
from tests.fleet.machines.tested import TestedFleet
from tests.fleet.test_postgresql import is_whole, primary, sql, wait

pytestmark = pytest.mark.shape("full")

# How long nothing may be written: the primary's lease of 20 s, then election and promotion.
FAILOVER = 45.0
SWITCHOVER = 15.0


@contextmanager
def writing(fleet: TestedFleet, seconds: float) -> Iterator[Future[dict[str, float]]]:
    """Somebody writes as the owner does, from an app host, whoever is the primary."""
    hosts = fleet.names("database")
    names = ",".join(f"{name}.gtsd.internal" for name in hosts)
    addresses = ",".join(fleet.address(name) for name in hosts)
    authority = max((fleet.state / "pki").glob("ca-*.crt"))
    dsn = (
        f"host={names} hostaddr={addresses} dbname=gtsd user=gtsd_owner connect_timeout=2"
        f" password={fleet.secrets['postgresql_owner_password']} target_session_attrs=read-write"
        f" sslmode=verify-full sslrootcert={authority}"
    )
    command = [sys.executable, str(Path(database_writer.__file__)), str(seconds)]

    def run() -> dict[str, float]:
        told = fleet.run_beside(fleet.names("app")[0], command, dsn, seconds + 60)
        assert told.returncode == 0, told.stderr
        result: dict[str, float] = json.loads(told.stdout)
        return result

    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(run)


def _first_other(fleet: TestedFleet, name: str) -> str:
    return next(other for other in fleet.names("database") if other != name)


def test_a_primary_that_dies_is_followed_and_comes_back_as_a_standby(fleet: TestedFleet) -> None:
    """Nothing that was acknowledged is lost, and a run after that changes nothing."""
    former = primary(fleet, fleet.names("database")[0]) or ""
    asked = _first_other(fleet, former)
    with writing(fleet, 75) as written:
        sleep(5)
        fleet.pull_plug(former)
        try:
            wait(lambda: primary(fleet, asked) not in (None, former))
        finally:
            fleet.power_on(former)
        result = written.result()
    assert result["written"] > 0
    assert result["lost"] == 0, result
    assert result["longest"] < FAILOVER, result
    wait(lambda: is_whole(fleet, former), 180)
    play = fleet.play("site.yml", "--limit", "database")
    assert (play.rc, play.changes) == (0, []), play.stdout[-3000:]
    assert primary(fleet, former) != former


def test_a_switchover_loses_nothing(fleet: TestedFleet) -> None:
    """By its own playbook, to the host that was asked for."""
    former = primary(fleet, fleet.names("database")[0]) or ""
    wanted = next(
        row.split(".")[0]
        for row in sql(
            fleet, "SELECT application_name FROM pg_stat_replication WHERE sync_state = 'sync'"
        ).splitlines()
    )
    with writing(fleet, 45) as written:
        play = fleet.play("switchover.yml", "-e", f"postgresql_candidate={wanted}")
        result = written.result()
    assert play.rc == 0, play.stdout[-3000:]
    assert primary(fleet, former) == wanted
    assert result["lost"] == 0, result
    assert result["longest"] < SWITCHOVER, result


def test_a_parameter_that_wants_a_restart_is_rolled_out(fleet: TestedFleet) -> None:
    """Standbys first, then a switchover; writing goes on. The value is put back the same way."""
    for value, seconds in (("103", 100.0), ("100", 100.0)):
        with writing(fleet, seconds) as written:
            more = ("-e", f"postgresql_max_connections={value}") if value != "100" else ()
            play = fleet.play("site.yml", "--limit", "database", *more)
            result = written.result()
        assert play.rc == 0, play.stdout[-3000:]
        assert result["lost"] == 0, result
        assert result["longest"] < FAILOVER, result
        for name in fleet.names("database"):
            assert sql(fleet, "SHOW max_connections", name=name) == value


def test_a_database_host_comes_back_after_a_reboot(fleet: TestedFleet) -> None:
    """Each of them, without a hand."""
    for name in fleet.names("database"):
        fleet.reboot(name)
        wait(lambda: is_whole(fleet, fleet.names("database")[0]), 180)
