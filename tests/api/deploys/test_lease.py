"""One holder at a time, and none for ever."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gtsd.deploys.lease import Lease
from tests.api.deploys.conftest import HOLDER, Deploys, acquired
from tests.api.migrate.support import rows, until
from tests.support.process import PACKAGE, ROOT

RACER = Path(__file__).with_name("racer.py")
RACERS = 10
BOB = ("--holder", "bob@ci release 1.5.0", "--purpose", "release")


class Racer:
    """A process that has imported all it needs, and waits for the word."""

    def __init__(self, url: str, name: str, mode: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(RACER), url, name, mode],
            env={"PYTHONPATH": f"{PACKAGE}:{ROOT}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def read(self) -> Any:
        """The next thing that it says."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def go(self) -> None:
        """The word."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """Killed, as by kill -9, where it still runs."""
        self.process.kill()
        self.process.communicate(timeout=20)


@contextmanager
def racers(url: str, number: int, mode: str) -> Iterator[list[Racer]]:
    """All of them ready, then all of them gone."""
    started = [Racer(url, f"host{n}", mode) for n in range(number)]
    try:
        for racer in started:
            assert racer.read() == "ready"
        yield started
    finally:
        for racer in started:
            racer.end()


def race(url: str, number: int, mode: str) -> list[dict[str, Any]]:
    """All at once; what each of them was told."""
    with racers(url, number, mode) as started:
        for racer in started:
            racer.go()
        return [racer.read() for racer in started]


def test_of_ten_processes_one_gets_the_lease_and_nine_name_it(database_url: str) -> None:
    """On a database that has not even the tables, which only one of them may make."""
    told = race(database_url, RACERS, "locked")
    (winner,) = [answer for answer in told if answer["status"] == 0]
    who = str(winner["holder"]).split(" ", maxsplit=1)[0]
    losers = [answer for answer in told if answer["status"] == 3]
    assert len(losers) == RACERS - 1
    assert all(answer["errors"].startswith(f"{who} has held it for ") for answer in losers)
    assert rows(database_url, "SELECT token FROM gtsd_deploy_lease") == [(1,)]


def test_without_the_lock_on_the_row_several_get_it(database_url: str, deploys: Deploys) -> None:
    """The control of the test above."""
    deploys("release", "--token", acquired(deploys))
    told = race(database_url, 4, "careless")
    assert sum(answer["status"] == 0 for answer in told) > 1


def test_a_held_lease_is_refused_with_who_since_when_and_until_when(deploys: Deploys) -> None:
    """Exit code 3, for people and for programs."""
    acquired(deploys)
    answer = deploys("acquire", *BOB)
    assert answer.status == 3
    assert re.fullmatch(
        r"anna@laptop has held it for \d+ s to release 1\.4\.0 \(last sign of life \d+ s ago;"
        r" it is free in [1-6]\d s at the latest\)\. Nothing was done\n",
        answer.errors,
    )
    assert answer.facts["held_by"] == HOLDER


def test_a_killed_holder_keeps_the_lease_to_its_end_and_no_longer(
    database_url: str, deploys: Deploys
) -> None:
    """It renewed and was alive until then; who comes next is told whose lease it was."""
    with racers(database_url, 1, "keep") as (holder,):
        holder.go()
        first = holder.read()
        until(lambda: holder.read()["acquired_at"] < holder.read()["heartbeat_at"])
        holder.end()
        asked = 0
        while (answer := deploys("acquire", *BOB)).status == 3:
            asked += 1
            assert asked < 2000
            time.sleep(0.02)
    assert asked > 0
    assert answer.facts["token"] == 2
    before = answer.facts["taken_over"]
    assert before["holder"] == first["holder"]
    assert before["expires_at"] > first["expires_at"]
    (late,) = rows(
        database_url,
        "SELECT extract(epoch FROM acquired_at - %s::timestamptz) FROM gtsd_deploy_lease",
        before["expires_at"],
    )[0]
    assert 0 <= late < 1


def test_a_lease_that_never_ended_would_keep_all_others_out(
    database_url: str, deploys: Deploys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two controls of the test above: who never lets go, and who does not wait for the end."""
    acquired(deploys, ttl=1)
    until(lambda: deploys("lease").facts["state"] == "expired")
    with monkeypatch.context() as patched:
        patched.setattr(Lease, "free", lambda self, _: self.released_at is not None)
        assert deploys("acquire", *BOB).status == 3
    assert deploys("acquire", *BOB).status == 0
    monkeypatch.setattr(Lease, "free", lambda *_: True)
    assert deploys("acquire", "--holder", "eve@ci", "--purpose", "release").status == 0
    assert rows(database_url, "SELECT token FROM gtsd_deploy_lease") == [(3,)]


def test_who_waits_gets_it_as_soon_as_it_is_free(deploys: Deploys) -> None:
    """Before the end of its patience."""
    acquired(deploys, ttl=1)
    began = time.monotonic()
    answer = deploys("acquire", *BOB, "--wait", "30")
    assert answer.status == 0
    assert 0.5 < time.monotonic() - began < 15
    assert deploys("acquire", "--holder", "eve@ci", "--purpose", "x", "--wait", "0.2").status == 3


def test_a_lease_is_renewed_also_late_but_not_after_somebody_else(deploys: Deploys) -> None:
    """Late is not stale: nobody came in between."""
    token = acquired(deploys, ttl=1)
    assert deploys("renew", "--token", token, "--ttl", "1").status == 0
    until(lambda: deploys("lease").facts["state"] == "expired")
    assert deploys("renew", "--token", token, "--ttl", "1").status == 0
    assert deploys("lease").facts["state"] == "held"
    assert deploys("acquire", *BOB, "--wait", "30").facts["token"] == 2
    answer = deploys("renew", "--token", token)
    assert answer.status == 3
    assert answer.errors.startswith("lease 1 is stale: bob@ci took 2 at 20")
    assert deploys("lease").facts["holder"] == BOB[1]


def test_a_lease_is_released_once_or_twice_by_its_holder_alone(deploys: Deploys) -> None:
    """Then it is free at once, and the token good for nothing."""
    token = acquired(deploys)
    assert deploys("release", "--token", "2").status == 3
    first = deploys("release", "--token", token)
    assert (first.status, first.facts) == (0, deploys("release", "--token", token).facts)
    assert deploys("renew", "--token", token).errors.startswith("lease 1 was released at 20")
    assert deploys("lease").facts["state"] == "free"
    next_one = deploys("acquire", *BOB)
    assert (next_one.facts["token"], next_one.facts["taken_over"]) == (2, None)
    assert deploys("release", "--token", token).status == 3
    assert deploys("lease").facts["state"] == "held"


def test_before_the_first_lease_all_is_free_and_every_token_unknown(
    database_url: str, deploys: Deploys
) -> None:
    """And looking makes no tables."""
    assert deploys("lease").facts == {"state": "free", "token": None}
    for command in ("renew", "release"):
        assert deploys(command, "--token", "1").errors.startswith("lease 1 was never given out")
    assert deploys("ledger").facts == {"records": []}
    assert deploys("verify").facts["intact"] is True
    assert rows(database_url, "SELECT to_regclass('gtsd_deploy_lease')") == [(None,)]
