"""A table that somebody dropped is back by what the runbook says to type, in the time it takes."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.machines.commands import say
from tests.fleet.machines.tested import TestedFleet
from tests.fleet.test_backup import keeper, told
from tests.fleet.test_postgresql import primary, sql, wait

pytestmark = [pytest.mark.shape("small", "full"), pytest.mark.beside]

_TABLE = "of_a_drop"
_ROWS = 20_000
_POINT = "3. **A table was dropped at 12:00:05.**"
_FOLDER = "/var/lib/beside"
# Who may do what with the table, and what hangs on it.
_RIGHTS = f"SELECT relowner::regrole, relacl FROM pg_class WHERE relname = '{_TABLE}'"
_INDEXES = f"SELECT indexdef FROM pg_indexes WHERE tablename = '{_TABLE}' ORDER BY 1"


def typed() -> list[str]:
    """All that the point of the runbook has to be typed, in its order."""
    page = Path("RUNBOOK.md").read_text()
    point = page[page.index(_POINT) :]
    point = point[: point.index("\n4. ")]
    return [re.sub(r"\s+", " ", word) for word in re.findall(r"`([^`]+)`", point) if " " in word]


def by_ssh(fleet: TestedFleet, line: str) -> str:
    """A line that is typed on the controller, with the names of this fleet's hosts."""
    first = fleet.names("database")[0]
    names = {"PRIMARY": primary(fleet, first) or "", "BACKUP": keeper(fleet), "TABLE": _TABLE}
    for word, name in names.items():
        line = re.sub(rf"\b{word}\b", name, line)
    line = re.sub(r"\bssh ", f"ssh -F {fleet.state / 'ssh_config'} ", line)
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{line}: {done.stderr}"
    return done.stdout


@pytest.fixture
def table(fleet: TestedFleet) -> Iterator[None]:
    """A table as the service's own are, with rows, an index and rights; gone afterwards."""
    sql(fleet, f"DROP TABLE IF EXISTS {_TABLE}")
    sql(fleet, f"CREATE TABLE {_TABLE} (n int PRIMARY KEY, at timestamptz DEFAULT now(), t text)")
    sql(fleet, f"CREATE INDEX ON {_TABLE} (at); GRANT SELECT ON {_TABLE} TO gtsd_app")
    rows = f"SELECT n, md5(n::text) FROM generate_series(1, {_ROWS}) n"
    sql(fleet, f"INSERT INTO {_TABLE} (n, t) {rows}")
    yield
    sql(fleet, f"DROP TABLE IF EXISTS {_TABLE}")
    fleet.host(keeper(fleet)).run("rm -rf %s", _FOLDER)


def test_a_dropped_table_is_back_as_it_was_a_second_before(fleet: TestedFleet, table: None) -> None:
    """Rows, rights and indexes of that second and nothing later; all else stays as it is."""
    before = [sql(fleet, question) for question in (_RIGHTS, _INDEXES)]
    whole = f"SELECT count(*), md5(string_agg(n::text || at || t, ',' ORDER BY n)) FROM {_TABLE}"
    kept = sql(fleet, whole)
    clock = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')"
    time.sleep(1)
    target = sql(fleet, clock).strip()
    time.sleep(1)
    sql(fleet, f"INSERT INTO {_TABLE} (n, t) VALUES (0, 'later')")
    sql(fleet, f"DROP TABLE {_TABLE}")
    began = time.monotonic()
    switch, restore, fetch, remove = typed()[:4]
    by_ssh(fleet, switch)
    words = shlex.split(restore.replace("2026-11-28 12:00:04", target))
    assert words[0] == "playbooks/restore.yml"
    play = fleet.play("restore.yml", *words[1:])
    assert play.rc == 0, play.stdout[-3000:]
    beside = fleet.host(keeper(fleet))
    beside.check_output("sh -c %s", told(play, r"\S+/pg_ctl -D .* start"))
    recovers = "SELECT pg_is_in_recovery()"
    ask = told(play, r"psql -h \S+ -U postgres \w+")
    wait(lambda: beside.run(f"{ask} -XAtqc '{recovers}'").stdout == "f\n", 120)
    by_ssh(fleet, fetch)
    took = time.monotonic() - began
    beside.check_output("sh -c %s", told(play, r"\S+/pg_ctl -D \S+ stop"))
    by_ssh(fleet, remove)
    say(f"the table was back {took:.0f} s after it was dropped")
    assert sql(fleet, whole) == kept
    assert [sql(fleet, question) for question in (_RIGHTS, _INDEXES)] == before
    assert beside.run(f"ls {_FOLDER}").rc != 0
