"""The outside client against the real service: what it counts is what happened."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from gtsd.dev.postgres import EmbeddedPostgres
from tests.support.client import PASSWORD
from tests.support.probing import KEPT_WRITES, history, probe, state, unaccounted, watching
from tests.support.process import Served, environment, serving

# As few and as quick as a test bears.
QUICK = ("--accounts=2", "--rate=40", "--slow=0")


@pytest.fixture(scope="module")
def environ(postgres_server: EmbeddedPostgres, _migrated_template: str) -> dict[str, str]:
    """A database of its own, and limits out of the way."""
    url = postgres_server.create_database("probed", _migrated_template)
    return environment(url, GTSD_LIMIT_USER="100000", GTSD_LIMIT_HEAVY="100000")


@pytest.fixture(scope="module")
def served(environ: dict[str, str]) -> Iterator[Served]:
    """A process of the service."""
    with serving(environ) as process:
        yield process


def rows(environ: dict[str, str], statement: str) -> list[tuple[Any, ...]]:
    """What the database has."""
    connection = psycopg2.connect(environ["DATABASE_URL"])
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def kept_otherwise(environ: dict[str, str], folder: Path) -> dict[str, int]:
    """Confirmed writes that are not in the database exactly once, and how often they are."""
    return unaccounted(folder, lambda: [text for (text,) in rows(environ, KEPT_WRITES)])


def url(served: Served) -> str:
    """Where it is."""
    return f"--url=http://127.0.0.1:{served.port}"


def test_a_good_service_has_no_failures_and_keeps_no_accounts(
    served: Served, environ: dict[str, str], tmp_path: Path
) -> None:
    """Reads and writes, kept and fresh connections, slow ones too; and nothing is left of it."""
    options = (url(served), "--accounts=2", "--rate=40", "--slow=1", "--requests=120")
    run = probe("run", f"--folder={tmp_path}/run", *options)
    assert (run.returncode, run.stderr) == (0, "")
    told, requests = state(tmp_path / "run"), history(tmp_path / "run")
    assert (told["phase"], told["failed"], told["accounts_left"]) == ("ended", 0, [])
    assert told["requests"] == len(requests) >= 120
    kinds = Counter(row["kind"] for row in requests)
    assert kinds.keys() >= {"read", "write", "read back", "slow upload", "long read"}
    assert {row["connection"] for row in requests} == {"kept", "fresh"}
    slow = [row["seconds"] for row in requests if row["slow"]]
    assert min(slow) > 0.9
    assert rows(environ, "SELECT count(*) FROM users") == [(0,)]


def test_each_confirmed_write_is_kept_exactly_once(
    served: Served, environ: dict[str, str], tmp_path: Path
) -> None:
    """By the history and the database; a write that is there twice, or not at all, is found."""
    people = []
    for name in ("ann", "bea"):
        served.sign_up(f"{name}@example.com")
        people.append({"email": f"{name}@example.com", "password": PASSWORD})
    (tmp_path / "people").write_text(json.dumps(people))
    given = (f"--accounts-file={tmp_path}/people", "--rate=40", "--slow=0", "--writes=0.8")
    run = probe("run", f"--folder={tmp_path}/run", url(served), *given, "--seconds=2")
    assert (run.returncode, run.stderr) == (0, "")
    assert kept_otherwise(environ, tmp_path / "run") == {}
    # The control: what a retry without a key would do, and what a lost write looks like.
    written = {r["route"]: r["write"] for r in history(tmp_path / "run") if r["write"]}
    twice, lost = written["/v1/tasks"], written["/v1/evidence"]
    rows(environ, f"INSERT INTO tasks (user_id, type, title, due_date) SELECT user_id, type, title,"
         f" due_date FROM tasks WHERE title = 'probe {twice}'")  # fmt: skip
    rows(environ, f"DELETE FROM evidence WHERE data->>'text' = 'probe {lost}'")
    assert kept_otherwise(environ, tmp_path / "run") == {twice: 2, lost: 0}
    rows(environ, "DELETE FROM users")


@pytest.mark.parametrize("token", ["good", "spent"])
def test_a_file_of_accounts_outlives_its_tokens(
    served: Served, environ: dict[str, str], tmp_path: Path, token: str
) -> None:
    """One that the API takes no longer is replaced by a login; one that it takes needs none."""
    who = {"email": "cleo@example.com", "password": PASSWORD}
    tokens = served.call("POST", "/auth/signup", {**who, "name": "Cleo"}).json["data"]
    if token == "spent":
        tokens["accessToken"] += "x"
    person = {**who, **tokens}
    (tmp_path / "people").write_text(json.dumps([person]))
    given = (f"--accounts-file={tmp_path}/people", "--rate=40", "--slow=0", "--requests=20")
    run = probe("run", f"--folder={tmp_path}/run", url(served), *given)
    assert (run.returncode, run.stderr) == (0, "")
    sessions = {"good": 1, "spent": 2}[token]
    assert rows(environ, "SELECT count(*) FROM sessions") == [(sessions,)]
    rows(environ, "DELETE FROM users")


def test_a_server_that_is_away_for_a_second_is_seen(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """No request is sent again: each one that came meanwhile has failed, and the gate is red."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    fixed = {**environ, "PORT": port}
    folder = tmp_path / "run"
    with serving(fixed) as first, watching(folder, url(first), *QUICK) as gate:
        assert "0 of" in gate("--patience=0").stdout
        first.signal(signal.SIGKILL)
        first.ended()
        time.sleep(1)
        with serving(fixed):
            time.sleep(1.5)
            red = gate("--patience=0", "--max-failed=0")
            recovered = gate("--patience=0", f"--since={time.time() - 0.5}")
    assert red.returncode == 1
    assert red.stderr.count("no answer") + red.stderr.count("no connection") == 3
    assert (recovered.returncode, recovered.stderr) == (0, "")
    failed = [row for row in history(folder) if row["reason"]]
    assert len(failed) > 30
    assert {row["reason"] for row in failed} <= {"no connection", "no answer"}


def test_a_client_that_was_killed_is_no_proof(served: Served, tmp_path: Path) -> None:
    """The gate is red although nothing has failed; stopping tells that accounts are left."""
    folder = tmp_path / "run"
    with watching(folder, url(served), *QUICK) as gate:
        assert gate("--patience=0").returncode == 0
        os.kill(state(folder)["pid"], signal.SIGKILL)
        deadline = time.monotonic() + 10
        while (red := gate("--patience=0")).returncode == 0:
            assert time.monotonic() < deadline
    assert "is dead, so nothing shows that requests are answered" in red.stderr
    stopped = probe("stop", f"--folder={folder}")
    assert stopped.returncode == 1
    assert "2 accounts are left" in stopped.stderr


def test_what_is_in_work_when_it_is_stopped_is_counted(served: Served, tmp_path: Path) -> None:
    """A slow upload is still on its way then; how it ends belongs to the release as well."""
    folder = tmp_path / "run"
    options = (url(served), "--accounts=2", "--rate=40", "--slow=2")
    with watching(folder, *options):
        stopped = json.loads(probe("stop", f"--folder={folder}").stdout)
        assert stopped["in_flight"] == 0
        assert stopped["requests"] == len(history(folder))
        assert stopped["by_kind"]["slow upload"] >= 1


def test_a_folder_is_for_one_run(served: Served, tmp_path: Path) -> None:
    """A second client is refused, while the first one works and afterwards; each says why."""
    folder = f"--folder={tmp_path}/run"
    with watching(tmp_path / "run", url(served), *QUICK):
        second = probe("run", folder, url(served), *QUICK)
        assert second.returncode == 1
        assert f"process {state(tmp_path / 'run')['pid']} works in it" in second.stderr
    late = probe("start", folder, url(served), *QUICK)
    assert late.returncode == 1
    assert "holds the history of an earlier run" in late.stderr


def test_it_ends_by_itself_when_nobody_stops_it(served: Served, tmp_path: Path) -> None:
    """A playbook that was killed leaves no client that calls for ever."""
    run = probe("run", f"--folder={tmp_path}/run", url(served), *QUICK, "--longest=1")
    assert run.returncode == 0
    assert state(tmp_path / "run")["phase"] == "ended"
    red = probe("gate", f"--folder={tmp_path}/run")
    assert "has ended, so nothing shows" in red.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--url=http://127.0.0.1:9",), "does not answer as the API does, no connection"),
        (("--url=ftp://x",), "must be the API's scheme and name, such as https://api.example.org"),
        (("--url=https://127.0.0.1:9", "--ca=/nowhere.pem"), "no certificates in PEM"),
    ],
)
def test_it_says_why_it_cannot_begin(options: tuple[str, ...], words: str, tmp_path: Path) -> None:
    """And `start` hands the words on, which is what the playbook shows."""
    started = probe("start", f"--folder={tmp_path}/run", *options)
    assert started.returncode == 1
    assert words in started.stderr
