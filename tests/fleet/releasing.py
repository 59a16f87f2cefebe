"""Releases to try on a fleet, good ones and sabotaged ones, and a client that counts what fails."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from requirements.release_names import archive_of
from requirements.release_signature import sign
from tests.fleet.machines import cgroups
from tests.fleet.machines.commands import run
from tests.fleet.machines.places import PROJECT, Places
from tests.fleet.machines.shapes import PUBLIC_NAME
from tests.fleet.machines.tested import TestedFleet
from tests.fleet.test_postgresql import sql
from tests.support.probing import KEPT_WRITES, history, probe, state, unaccounted

_PARTS = ("service", "migrations", "systemd", "requirements")
# Each person may ask 200 times a minute.
_PEOPLE = 40
_PEOPLE_LENT = 8


@dataclass(frozen=True)
class Edit:
    """A file in which ``old`` becomes ``new``; a new file where there is no ``old``."""

    file: str
    new: str
    old: str = ""


def build(fleet: TestedFleet, edits: Sequence[Edit] = ()) -> str:
    """A release of this checkout under a new version, where the rehearsal's inventory finds it."""
    version = f"1.{int(time.time())}.0"
    with TemporaryDirectory() as temporary:
        tree = Path(temporary)
        for part in _PARTS:
            shutil.copytree(PROJECT / part, tree / part)
        shutil.copy(PROJECT / "pyproject.toml", tree)
        for edit in edits:
            _apply(edit, tree / edit.file)
        _make(tree, version, Places(fleet.name))
    return version


def _make(tree: Path, version: str, places: Places) -> None:
    """As `make release` does, in another tree."""
    python = PROJECT / ".venvs" / "build" / "bin" / "python"
    folder = PROJECT / "dist"
    # -P: from there, and not from where we are.
    words = ["-P", "-m", "requirements.release", "--version", version, "--folder", str(folder)]
    run(python, *words, env={"PYTHONPATH": str(tree)})
    kept = archive_of(version, places.state)
    shutil.move(archive_of(version, folder), kept)
    sign(kept, places.release_key)


def _apply(edit: Edit, file: Path) -> None:
    if not edit.old:
        file.write_text(edit.new)
        return
    text = file.read_text()
    assert edit.old in text, f"{file.name} has changed: mend the sabotage"
    file.write_text(text.replace(edit.old, edit.new, 1))


def opened_accounts(fleet: TestedFleet, count: int = _PEOPLE) -> list[dict[str, Any]]:
    """Opened at an instance itself, each from another address: the edge's limits are for others."""
    done = fleet.run_beside(
        fleet.names("app")[0], [sys.executable, "-c", _OPEN, str(count)], timeout=120
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


_OPEN = """
import json, secrets, sys, urllib.request
told = []
for number in range(int(sys.argv[1])):
    who = {"email": f"{secrets.token_hex(8)}@probe.invalid", "name": "Probe",
           "password": "Aa1-" + secrets.token_urlsafe(16)}
    asked = urllib.request.Request(
        "http://127.0.0.1:3001/auth/signup", json.dumps(who).encode(),
        {"Content-Type": "application/json", "X-Forwarded-For": f"198.51.100.{number + 1}"})
    answer = json.load(urllib.request.urlopen(asked, timeout=20))["data"]
    told.append({**who, **{k: v for k, v in answer.items() if k != "user"}})
print(json.dumps(told))
"""


@dataclass
class Outside:
    """The outside client of a test, which runs through all that the test does."""

    fleet: TestedFleet
    folder: Path

    @property
    def lent(self) -> tuple[str, str]:
        """For a playbook's own client, which may open ten accounts a minute: some that are open.

        New ones each time. A token is good for a quarter of an hour, and to be renewed by one.
        """
        file = self.folder / "lent.json"
        file.write_text(json.dumps(opened_accounts(self.fleet, _PEOPLE_LENT)))
        return ("-e", f"probe_accounts_file={file}")

    @property
    def now(self) -> dict[str, Any]:
        return state(self.folder)

    def failures(self) -> Counter[str]:
        """Failed requests by reason, until now."""
        return Counter(row["failure"] for row in history(self.folder) if row["reason"] is not None)

    def p99(self, since: float, until: float) -> float:
        """In seconds, of what was due in that span; the nearest rank."""
        spans = sorted(
            row["seconds"] for row in history(self.folder)
            if since <= row["scheduled"] < until and not row["slow"]
        )  # fmt: skip
        assert len(spans) >= 100, "too few requests for a hundredth of them"
        return float(spans[-(-len(spans) * 99 // 100) - 1])


@contextmanager
def outside(fleet: TestedFleet, folder: Path, rate: float) -> Iterator[Outside]:
    """Calls all edges until the enclosed ends; 40 % of the requests write."""
    accounts = folder / "accounts.json"
    accounts.write_text(json.dumps(opened_accounts(fleet)))
    options = [f"--address={fleet.address(name)}" for name in fleet.names("edge")]
    options += [f"--rate={rate}", "--writes=0.4", f"--accounts-file={accounts}", "--patience=50"]
    options += [f"--url=https://{PUBLIC_NAME}", f"--ca={fleet.state / 'public-ca.pem'}"]
    # A machine of its own, as hosts are: what it waits for a playbook would seem to be their doing.
    own = cgroups.inside(fleet.name, "client")
    started = probe("start", f"--folder={folder}", *options, behind=own)
    assert started.returncode == 0, started.stderr
    try:
        yield Outside(fleet, folder)
    finally:
        stopped = probe("stop", f"--folder={folder}")
    assert stopped.returncode == 0, stopped.stderr


def kept_otherwise(fleet: TestedFleet, folder: Path) -> dict[str, int]:
    """Confirmed writes that are not in the database exactly once, and how often they are."""
    return unaccounted(folder, lambda: sql(fleet, KEPT_WRITES).splitlines())


def current(fleet: TestedFleet) -> dict[str, str]:
    """The release that each app host runs."""
    return {
        name: fleet.host(name).check_output("readlink /opt/gtsd/current").removeprefix("releases/")
        for name in fleet.names("app")
    }


def processes(fleet: TestedFleet) -> dict[str, str]:
    """The processes of the instances and the worker, by host; another one after each restart."""
    units = "gtsd-api@1 gtsd-api@2 gtsd-worker"
    return {
        name: fleet.host(name).check_output(f"systemctl show -P MainPID {units}")
        for name in fleet.names("app")
    }
