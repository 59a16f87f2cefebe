"""`requirements/environment` finds a Python, fills an environment once, and says what is missing.

The Python, pip and apt-get of these tests are scripts that write down how they were called.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

_SCRIPT = Path(__file__).parents[3] / "requirements" / "environment"
_PYTHON = """#!/bin/sh
case "$*" in
    *version_info*) echo "${VERSION:-3.12}" ;;
    *sys.executable*) echo "$0" ;;
    *ensurepip*) [ -e "$BOX/no-venv" ] && exit 1; exit 0 ;;
    *sys.prefix*) echo "${PREFIX:-/usr}" ;;
    "-m venv --clear "*)
        echo venv >>"$BOX/calls"
        rm -rf "$4"; mkdir -p "$4/bin"; ln -s "$BOX/bin/python3" "$4/bin/python" ;;
    "-m pip install "*)
        echo pip >>"$BOX/calls"; echo "$*" >"$BOX/pip"
        echo "$(umask) ${PIP_USER-unset} ${PYTHONPATH-unset}" >"$BOX/leaks"
        exit "${PIP:-0}" ;;
esac
"""
_APT_GET = """#!/bin/sh
echo "apt-get $*" >>"$BOX/calls"
case "$*" in *install*) [ -n "$APT" ] && [ ! -e "$BOX/updated" ] && exit 1; rm -f "$BOX/no-venv" ;;
    *update*) touch "$BOX/updated"; exit "${UPDATE:-0}" ;; esac
"""


class Box:
    """A checkout with one lock and a machine of stand-ins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = folder / "pro ject"
        (self.project / "requirements").mkdir(parents=True)
        self.lock = self.project / "requirements" / "dev.txt"
        self.lock.write_text("a==1\n")
        shutil.copy(_SCRIPT, self.project / "requirements")
        (folder / "bin").mkdir()
        self.program("python3", _PYTHON)
        self.program("apt-get", _APT_GET)
        self.program("id", "#!/bin/sh\necho ${USER_ID:-1000}\n")
        for version in ("3.11", "3.12", "3.13"):
            self.program(f"python{version}", "#!/bin/sh\nexit 127\n")

    def program(self, name: str, text: str) -> None:
        """Put it before all programs of the machine."""
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def make(self, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        return subprocess.run(
            ["bash", str(self.project / "requirements" / "environment"), "dev"],
            env={"PATH": f"{self.folder}/bin:/usr/bin:/bin", "BOX": str(self.folder), **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    def calls(self) -> list[str]:
        """What was done since the last look."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A fresh one, in a folder with a blank in its name."""
    return Box(tmp_path)


def test_it_is_made_once_from_the_hashes_alone(box: Box) -> None:
    """The second call costs nothing and says nothing."""
    first = box.make()
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == f"making .venvs/dev with {box.folder}/bin/python3 (once)\n"
    assert box.calls() == ["venv", "pip"]
    pip = (box.folder / "pip").read_text()
    for option in ("--require-hashes", "--no-deps", "--only-binary :all:", "requirements/dev.txt"):
        assert option in pip
    second = box.make()
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert box.calls() == []


def test_it_is_made_anew_when_what_it_is_made_of_changes(box: Box) -> None:
    """The lock, the place (scripts hold absolute paths), or the wanted Python."""
    box.make()
    box.lock.write_text("a==2\n")
    assert (box.make().returncode, box.calls()) == (0, ["venv", "pip"] * 2)
    box.make(PYTHON=f"{box.folder}/bin/python3")
    assert box.calls() == ["venv", "pip"]
    box.project = box.project.rename(box.folder / "moved")
    box.make(PYTHON=f"{box.folder}/bin/python3")
    assert box.calls() == ["venv", "pip"]
    (box.project / ".venvs" / "dev" / "bin" / "python").unlink()
    box.make(PYTHON=f"{box.folder}/bin/python3")
    assert box.calls() == ["venv", "pip"]


def test_an_interrupted_attempt_is_begun_again(box: Box) -> None:
    """Half an environment must not be taken for a whole one."""
    failed = box.make(PIP="1")
    assert failed.returncode == 1
    assert "The packages of requirements/dev.txt could not be installed" in failed.stderr
    assert box.calls() == ["venv", "pip"]
    assert (box.make().returncode, box.calls()) == (0, ["venv", "pip"])


def test_the_callers_shell_does_not_leak_in(box: Box) -> None:
    """As root another account has to be able to execute what a strict umask would close."""
    before = os.umask(0o077)
    try:
        assert box.make(PIP_USER="1", PYTHONPATH="/nowhere").returncode == 0
    finally:
        os.umask(before)
    assert (box.folder / "leaks").read_text() == "0022 unset unset\n"


def test_two_at_once_make_one(box: Box) -> None:
    """`make run` and `make test` in two windows, on the same environment."""
    slow = _PYTHON.replace("echo pip", "sleep 0.3; echo pip")
    box.program("python3", slow)
    command: Any = ["bash", str(box.project / "requirements" / "environment"), "dev"]
    environ = {"PATH": f"{box.folder}/bin:/usr/bin:/bin", "BOX": str(box.folder)}
    both = [subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(30) for process in both] == [0, 0]
    assert box.calls() == ["venv", "pip"]


@pytest.mark.parametrize(
    ("environ", "has"),
    [
        ({"VERSION": "3.9"}, "this machine has 3.9 (python3)"),
        ({"VERSION": "3.14"}, "this machine has 3.14 (python3)"),
        ({"PYTHON": "/nowhere/python"}, "/nowhere/python has none"),
    ],
)
def test_an_unsuitable_python_is_named(box: Box, environ: dict[str, str], has: str) -> None:
    """One sentence, with what to do."""
    failed = box.make(**environ)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == (
        f"GTSD needs Python 3.11, 3.12 or 3.13, and {has}; name one: "
        "make run PYTHON=/path/to/python3.12\n"
    )


def test_a_newer_python_is_found_beside_an_old_one(box: Box) -> None:
    """Some machines have an old python3 and a python3.13."""
    box.program("python3.13", _PYTHON.replace("${VERSION:-3.12}", "3.13"))
    made = box.make(VERSION="3.9")
    assert made.stdout == f"making .venvs/dev with {box.folder}/bin/python3.13 (once)\n"


def test_a_user_is_told_the_one_command_for_the_missing_module(box: Box) -> None:
    """Debian ships Python without venv."""
    (box.folder / "no-venv").touch()
    failed = box.make()
    assert failed.returncode == 1
    assert failed.stderr == (
        f"{box.folder}/bin/python3 lacks its venv module. "
        "Run this once: sudo apt-get install -y python3.12-venv\n"
    )
    assert box.calls() == []


@pytest.mark.parametrize(("apt", "tries"), [("", 1), ("stale", 2)])
def test_root_installs_the_missing_module(box: Box, apt: str, tries: int) -> None:
    """And renews the list of packages only where it has to."""
    (box.folder / "no-venv").touch()
    made = box.make(USER_ID="0", APT=apt)
    assert made.returncode == 0
    assert "installing python3.12-venv\n" in made.stdout
    calls = box.calls()
    assert [call.split()[-1] for call in calls].count("python3.12-venv") == tries
    assert ("apt-get -q update" in calls) == bool(apt)
    assert calls[-2:] == ["venv", "pip"]


def test_root_is_told_when_the_module_cannot_be_installed(box: Box) -> None:
    """Without network, say."""
    (box.folder / "no-venv").touch()
    failed = box.make(USER_ID="0", APT="stale", UPDATE="100")
    assert failed.returncode == 1
    assert failed.stderr == "python3.12-venv could not be installed; see above what apt-get said.\n"


def test_a_python_that_is_not_debians_is_not_mended_by_apt(box: Box) -> None:
    """The package would be for another Python."""
    (box.folder / "no-venv").touch()
    failed = box.make(USER_ID="0", PREFIX="/opt/python")
    assert (failed.returncode, box.calls()) == (1, [])
    assert "lacks the modules venv and ensurepip; name another" in failed.stderr


def test_a_folder_that_cannot_be_written_to_is_named(box: Box) -> None:
    """Permissions do not bind root, so a file stands in the way here."""
    (box.project / ".venvs").write_text("")
    failed = box.make()
    assert failed.returncode == 1
    assert failed.stderr == f"The folder {box.project} cannot be written to.\n"
