"""`.ci/run` brings what is missing, runs everything and fails if anything did."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

_STEPS = [
    "make environments",
    "make lint",
    "make test",
    "make fuzz CALLS=10000",
    "make test-versions",
    "make test-fleet TOPOLOGY=small",
    "make test-fleet TOPOLOGY=full",
]
_PROGRAMS = ["bash", "cat", "chmod", "dirname", "env", "git", "id", "mkdir", "mktemp", "rm"]


class Machine:
    """A checkout and a PATH on which ``make`` is missing until apt-get installs it."""

    def __init__(self, folder: Path, script: Path) -> None:
        self._programs = folder / "bin"
        self._programs.mkdir()
        for name in _PROGRAMS:
            found = shutil.which(name)
            assert found, name
            (self._programs / name).symlink_to(found)
        self._log = folder / "log"
        self._script = folder / "checkout" / ".ci" / "run"
        self._script.parent.mkdir(parents=True)
        shutil.copy(script, self._script)
        subprocess.run(["git", "init", "-q", self._script.parents[1]], check=True)
        for name in ("python3", "curl", "google-chrome", "pgbackrest", "promtool"):
            self._program(name, "exit 0")
        self._program("sudo", 'shift\n"$@"')
        self._program(
            "apt-get",
            f'echo "apt-get $*" >>{self._log}\n'
            f"case $* in *install*) cat >{self._programs}/make <<'END'\n"
            f'#!/bin/sh\necho "make $*" >>{self._log}\n[ "$1" != "$BROKEN" ]\nEND\n'
            f"chmod +x {self._programs}/make ;; esac",
        )

    def _program(self, name: str, text: str) -> None:
        (self._programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (self._programs / name).chmod(0o755)

    def run(self, broken: str = "") -> tuple[int, list[str], str]:
        """Exit status, what was called in order, and what was printed."""
        self._log.unlink(missing_ok=True)
        result = subprocess.run(
            ["bash", str(self._script)],
            env={"PATH": str(self._programs), "HOME": "/nonexistent", "BROKEN": broken},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        calls = self._log.read_text().splitlines() if self._log.exists() else []
        # Which tests of the largest fleet these are is the script's own business.
        return result.returncode, [call.split(" TESTS=")[0] for call in calls], result.stdout


@pytest.fixture
def machine(root: Path, tmp_path: Path) -> Machine:
    """A clean machine with this project's script."""
    return Machine(tmp_path, root / ".ci" / "run")


def test_a_missing_program_is_installed_once(machine: Machine) -> None:
    """A minimal Debian has no make; the second run finds it there."""
    status, calls, _ = machine.run()
    assert status == 0
    assert calls[0] == "apt-get -q update"
    assert calls[1].startswith("apt-get -q -y install --no-install-recommends make")
    assert calls[2:] == _STEPS
    assert machine.run()[:2] == (0, _STEPS)


@pytest.mark.parametrize("broken", ["lint", "test", "fuzz", "test-versions", "test-fleet"])
def test_every_step_runs_and_one_failure_fails_all(machine: Machine, broken: str) -> None:
    """The tests run after a failed lint too, and the summary says which step it was."""
    status, calls, printed = machine.run(broken)
    assert status == 1
    assert calls[-len(_STEPS) :] == _STEPS
    failed = [line for line in printed.splitlines() if line.startswith("FAILED")]
    assert len(failed) == sum(step.split()[1] == broken for step in _STEPS)
    assert all(f" make {broken}" in line for line in failed)


def test_a_machine_that_cannot_install_fails(machine: Machine) -> None:
    """Without make and without a package index nothing was proved, so nothing passes."""
    machine._program("apt-get", "exit 100")
    status, calls, printed = machine.run()
    assert (status, calls) == (1, [])
    assert "FAILED" in printed


def test_each_step_says_how_long_it_took(machine: Machine) -> None:
    """Whoever waits for CI sees for what."""
    summary = machine.run()[2].split("== summary\n")[1].splitlines()
    told = [re.sub(r"\d+ s", "N s", " ".join(line.split(" TESTS=")[0].split())) for line in summary]
    assert told == [
        "ok N s install_missing",
        "ok N s make environments",
        "ok N s make lint",
        "ok N s make test",
        "ok N s make fuzz CALLS=10000",
        "ok N s make test-versions",
        "ok N s as_root make test-fleet TOPOLOGY=small",
        "ok N s as_root make test-fleet TOPOLOGY=full",
    ]


def test_the_verdict_is_kept_for_this_very_checkout(machine: Machine) -> None:
    """Preflight asks which commit it was; outside of a repository there is none to name."""
    checkout = machine._script.parents[1]
    verdict = checkout / "dist" / "ci-verdict"
    machine.run()
    assert not verdict.exists()
    person = ["-c", "user.name=ann", "-c", "user.email=ann@example.org"]
    for words in (["init", "-q"], ["add", ".ci"], [*person, "commit", "-q", "-m", "One"]):
        subprocess.run(["git", *words], cwd=checkout, check=True)
    machine.run("test")
    commit, *steps = verdict.read_text().splitlines()
    assert re.fullmatch(r"[0-9a-f]{40}", commit)
    assert [step.split()[0] for step in steps] == [*["ok"] * 3, "FAILED", *["ok"] * 4]


def test_a_checkout_without_history_says_what_it_skips(machine: Machine) -> None:
    """The release before cannot be found in it; all else is tried."""
    shutil.rmtree(machine._script.parents[1] / ".git")
    status, calls, printed = machine.run()
    assert status == 0
    assert calls[2:] == [step for step in _STEPS if step != "make test-versions"]
    assert re.search(r"^SKIPPED +make test-versions", printed, re.MULTILINE)
