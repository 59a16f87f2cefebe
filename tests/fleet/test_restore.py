"""The cluster itself goes back: refused by mistake, whole afterwards, and the old is kept."""

from __future__ import annotations

import json
import time

import pytest

from tests.fleet.machines.tested import TestedFleet
from tests.fleet.test_backup import RPO, back_up, backups, beside, keeper, mark, pgbackrest, switch
from tests.fleet.test_postgresql import is_whole, primary, sql, wait

pytestmark = [
    pytest.mark.shape("small", "full"),
    pytest.mark.beside,
    pytest.mark.timeout(1800),
]


def _data(fleet: TestedFleet) -> str:
    return sql(fleet, "SHOW data_directory", "postgres").strip()


def _timeline(fleet: TestedFleet) -> int:
    return int(sql(fleet, "SELECT timeline_id FROM pg_control_checkpoint()", "postgres"))


def test_a_cluster_that_runs_is_not_taken_down_by_mistake(fleet: TestedFleet) -> None:
    """Nothing has stopped when it says so; nor where no backup leads, or a time has no zone."""
    name = primary(fleet, fleet.names("database")[0]) or ""
    process = "systemctl show -P MainPID patroni"
    before = fleet.host(name).check_output(process)
    for more, why in (
        ((), "-e i_know=true"),
        (("-e", "i_know=true", "-e", "target_time='2001-01-01 00:00:00+00'"), "No backup leads to"),
        (("-e", "i_know=true", "-e", "target_time='2026-11-28 12:00:04'"), "its zone"),
    ):
        play = fleet.play("restore.yml", *more)
        assert play.rc != 0
        assert why in " ".join(play.stdout.split()), play.stdout[-2000:]
        assert play.changes == []
    assert fleet.host(name).check_output(process) == before
    assert is_whole(fleet, name)


def test_a_cluster_goes_back_to_a_restore_point_and_goes_on(fleet: TestedFleet) -> None:
    """Rows after it are gone, the old data is aside, and archive and backups go on from there."""
    first = fleet.names("database")[0]
    sql(fleet, "DROP TABLE IF EXISTS of_a_backup")
    sql(fleet, "CREATE TABLE of_a_backup (n int PRIMARY KEY, at timestamptz)")
    back_up(fleet, "incr")
    mark(fleet, 1)
    point = f"test{int(time.time())}"
    sql(fleet, f"SELECT pg_create_restore_point('{point}')", "postgres")
    mark(fleet, 2)
    assert sql(fleet, "SELECT count(*) FROM of_a_backup").strip() == "2"
    data, timeline = _data(fleet), _timeline(fleet)
    play = fleet.play("restore.yml", "-e", "i_know=true", "-e", f"target_name={point}")
    assert play.rc == 0, play.stdout[-4000:]
    assert sql(fleet, "SELECT string_agg(n::text, ',') FROM of_a_backup").strip() == "1"
    assert is_whole(fleet, first)
    assert _timeline(fleet) > timeline
    assert f"{data}.kept/" in play.stdout
    for name in fleet.names("database"):
        assert fleet.host(name).run(f"ls {data}.kept/*/PG_VERSION").rc == 0
        assert "recovery_target" not in fleet.host(name).check_output(
            f"cat {data}/postgresql.auto.conf"
        )
    assert json.loads(fleet.outside_curl("/health").stdout)
    # What is written now can be had back, before and after the next backup.
    mark(fleet, 3)
    switch(fleet)
    assert beside(fleet, "/var/lib/beside4") == "1,3"
    back_up(fleet, "full")
    mark(fleet, 4)
    switch(fleet)
    assert beside(fleet, "/var/lib/beside5") == "1,3,4"
    again = fleet.play("site.yml")
    assert again.rc == 0, again.stdout[-3000:]
    assert again.changes == []
    sql(fleet, "DROP TABLE of_a_backup")
    for name in fleet.names("database"):
        fleet.host(name).check_output(f"rm -rf {data}.kept")


def test_a_site_is_rebuilt_from_its_backups(fleet: TestedFleet) -> None:
    """Database hosts without data, etcd without a cluster: one run of site.yml brings all back."""
    sql(fleet, "DROP TABLE IF EXISTS of_a_backup")
    sql(fleet, "CREATE TABLE of_a_backup (n int PRIMARY KEY, at timestamptz)")
    mark(fleet, 1)
    refused = fleet.play("site.yml", "-e", "restore=latest")
    assert refused.rc != 0
    assert "nothing is restored over data" in " ".join(refused.stdout.split())
    switch(fleet)
    data = _data(fleet)
    for name in fleet.names("database"):
        fleet.host(name).check_output("systemctl stop patroni")
    for name in fleet.names("database"):
        fleet.host(name).run("systemctl stop etcd")
        gone = f"{data} /etc/patroni/config.yml /var/lib/etcd/gtsd"
        fleet.host(name).check_output(f"rm -rf {gone}")
    play = fleet.play("site.yml", "-e", "restore=latest")
    assert play.rc == 0, play.stdout[-4000:]
    assert sql(fleet, "SELECT string_agg(n::text, ',') FROM of_a_backup").strip() == "1"
    assert is_whole(fleet, fleet.names("database")[0])
    mark(fleet, 2)
    back_up(fleet, "incr")
    assert fleet.play("site.yml").changes == []
    sql(fleet, "DROP TABLE of_a_backup")


@pytest.mark.shape("full")
def test_of_all_database_hosts_no_more_than_a_minute_is_lost(fleet: TestedFleet) -> None:
    """All plugs at once, under writes: what the backup host has ends less than 60 s before."""
    names = fleet.names("database")
    sql(fleet, "DROP TABLE IF EXISTS of_a_backup")
    sql(fleet, "CREATE TABLE of_a_backup (n int PRIMARY KEY, at timestamptz)")
    assert backups(fleet)
    written: dict[int, float] = {}
    ends = time.time() + 3 * RPO
    number = 0
    while time.time() < ends:
        mark(fleet, number)
        written[number] = time.time()
        number += 1
        time.sleep(0.5)
    lost_at = time.time()
    for name in names:
        fleet.pull_plug(name)
    try:
        kept = beside(fleet, "/var/lib/beside6").split(",")
        newest = written[max(map(int, kept))]
        assert kept == [str(n) for n in range(len(kept))]
        assert lost_at - newest <= RPO
    finally:
        for name in names:
            fleet.power_on(name)
        wait(lambda: is_whole(fleet, names[0]), 180)
    assert pgbackrest(fleet, "check").rc == 0
    assert keeper(fleet)
    sql(fleet, "DROP TABLE of_a_backup")
