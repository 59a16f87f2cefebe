"""`sudo gtsd …` hands each command the credentials that it needs, and no others."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

_CREDENTIAL = re.compile(
    r"^--property=LoadCredential=(\w+):/etc/gtsd/credentials/(\w+)$", re.MULTILINE
)
_OWNER = {"database_url": "owner_database_url"}


class Host:
    """A release on a host whose systemd-run only tells what it was asked to run."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._programs = folder / "programs"
        self._programs.mkdir()
        self._program("systemd-run", 'printf "%s\\n" "$@"')
        self._program("id", "echo 0")
        self.release = folder / "releases" / "1.4.0"
        (self.release / "bin").mkdir(parents=True)
        self._command = self.release / "bin" / "gtsd"
        self._command.write_text((root / "systemd" / "bin" / "gtsd").read_text())

    def _program(self, name: str, script: str) -> None:
        path = self._programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def run(self, *words: str) -> tuple[dict[str, str], list[str]]:
        """The files of credentials by their names, and the words that the program gets."""
        environ = {"PATH": f"{self._programs}:{os.environ['PATH']}"}
        command = ["sh", str(self._command), *words]
        done = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
        lines = done.stdout.splitlines()
        found = re.findall(
            r"=LoadCredential=(\w+):/etc/gtsd/credentials/(\w+)$", done.stdout, re.MULTILINE
        )
        return dict(found), lines[lines.index(f"{self.release}/venv/bin/gtsd") + 1 :]


@pytest.fixture
def host(tmp_path: Path, root: Path) -> Host:
    """With the command as it is shipped."""
    return Host(tmp_path, root)


@pytest.mark.parametrize("command", ["lease", "ledger", "record"])
def test_releases_are_recorded_as_the_owner_with_the_words_as_they_are(
    host: Host, command: str
) -> None:
    """The app's own role has no right on these tables; a holder has spaces."""
    words = ("deploys", command, "--holder", "anna@laptop release 1.4.0")
    assert host.run(*words) == (_OWNER, list(words))


def test_migrations_run_as_the_owner_with_the_releases_own_files(host: Host) -> None:
    """Unless another folder is named after it."""
    credentials, words = host.run("migrate", "status", "--json")
    folder = str(host.release / "migrations")
    assert credentials == _OWNER
    assert words == ["migrate", "status", "--folder", folder, "--json"]
    assert host.run("migrate") == (_OWNER, ["migrate"])


def test_statistics_are_read_as_who_may_read_nothing_else(host: Host) -> None:
    """Neither as the app nor as the owner."""
    words = ("db", "slow", "--json")
    assert host.run(*words) == ({"database_url": "monitor_database_url"}, list(words))


def test_all_else_runs_as_the_service_does(host: Host) -> None:
    """With its own credentials, and not the owner's."""
    credentials, words = host.run("check", "--connect")
    assert words == ["check", "--connect"]
    assert {"database_url", "jwt_secret", "redis_url"} <= credentials.keys()
    assert all(name == file for name, file in credentials.items())


def test_a_drill_runs_as_the_owner_of_the_repository_without_our_secrets(host: Host) -> None:
    """With the release's own files, unless others are named after them."""
    credentials, words = host.run("drill", "--repo", "2")
    folder = str(host.release / "migrations")
    assert credentials == {}
    assert words == ["drill", "--migrations", folder, "--repo", "2"]
