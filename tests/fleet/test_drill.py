"""The newest backup is restored and proved by the backup host; what is wrong with it is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.fleet.machines.tested import TestedFleet
from tests.fleet.test_backup import back_up, backups, keeper, switch
from tests.fleet.test_postgresql import sql

pytestmark = [
    pytest.mark.shape("small", "full"),
    pytest.mark.both_releases,
    pytest.mark.beside,
    pytest.mark.timeout(900),
]

_FIGURES = "/var/lib/prometheus/node-exporter/gtsd_drill.prom"
_REPOSITORY = "/var/lib/gtsd-backup"


def figures(fleet: TestedFleet) -> dict[str, float]:
    """What node_exporter would tell, without the steps."""
    lines = fleet.host(keeper(fleet)).check_output(f"cat {_FIGURES}").splitlines()
    pairs = (line.split() for line in lines if line.startswith("gtsd_restore") and "{" not in line)
    return {name: float(value) for name, value in pairs}


def drilled(fleet: TestedFleet) -> dict[str, Any]:
    """The last line of a drill by the timer's own unit, which may fail."""
    host = fleet.host(keeper(fleet))
    host.run("systemctl start gtsd-drill.service")
    line = host.check_output("journalctl -u gtsd-drill -t gtsd -o cat -n 1 --no-pager")
    found: dict[str, Any] = json.loads(line)
    return found


@contextmanager
def put_aside(fleet: TestedFleet, path: str) -> Iterator[None]:
    """A file of the repository is copied, and put back with its owner afterwards."""
    host = fleet.host(keeper(fleet))
    host.check_output(f"cp -a {path} /var/tmp/aside")
    try:
        yield
    finally:
        host.check_output(f"cp -a /var/tmp/aside {path} && rm /var/tmp/aside")


def test_a_good_backup_is_proved_and_thrown_away(fleet: TestedFleet) -> None:
    """By hand as each night: figures that an alarm can read, and nothing left behind."""
    back_up(fleet, "full")
    play = fleet.play("drill.yml")
    assert play.rc == 0, play.stdout[-3000:]
    told = figures(fleet)
    assert told["gtsd_restore_ok"] == 1
    assert told["gtsd_restore_bytes"] > 1_000_000
    assert 0 < told["gtsd_restore_rto_seconds"] < 120
    assert 0 <= told["gtsd_restore_rpo_seconds"] < 120
    host = fleet.host(keeper(fleet))
    assert host.run("ls -A /var/lib/gtsd-drill/throwaway").stdout == ""
    assert host.service("gtsd-drill.timer").is_enabled
    security = host.run("systemd-analyze security gtsd-drill.service").stdout
    assert float(security.split("level for gtsd-drill.service:")[1].split()[0]) <= 1.5


def test_a_flipped_byte_turns_the_metric_red(fleet: TestedFleet) -> None:
    """The file is named, the last good drill stays known, and the next one is green again."""
    host = fleet.host(keeper(fleet))
    newest = backups(fleet)[-1]["label"]
    files = f"find {_REPOSITORY}/backup/gtsd/{newest} -type f -printf '%s %p\\n'"
    size, path = host.check_output(f"{files} | sort -n | tail -1").split(" ", 1)
    before = figures(fleet)
    with put_aside(fleet, path):
        host.check_output(
            f"printf '\\377' | dd of={path} bs=1 seek={int(size) // 2} conv=notrunc status=none"
        )
        told = drilled(fleet)
        assert told["cause"] == "damaged", told
        now = figures(fleet)
    assert now["gtsd_restore_ok"] == 0
    success = "gtsd_restore_last_success_timestamp_seconds"
    assert now[success] == before[success]
    drilled(fleet)
    assert figures(fleet)["gtsd_restore_ok"] == 1


def test_a_missing_segment_is_named(fleet: TestedFleet) -> None:
    """Without it a restore would end early and look well."""
    host = fleet.host(keeper(fleet))
    for number in range(3):
        # Without anything written there is no segment to switch from.
        sql(fleet, f"SELECT pg_create_restore_point('drill{number}')", "postgres")
        switch(fleet)
    segments = host.check_output(
        f"find {_REPOSITORY}/archive/gtsd -type f -name '0*.zst' -printf '%f %p\\n' | sort"
    ).splitlines()
    # The newest but one: nothing later shows the newest.
    name, path = segments[-2].split(" ", 1)
    with put_aside(fleet, path):
        host.check_output(f"rm {path}")
        told = drilled(fleet)
    assert told["cause"] == "wal_missing", told
    assert name.split("-")[0] in told["why"]
