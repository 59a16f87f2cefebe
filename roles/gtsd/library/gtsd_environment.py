#!/usr/bin/python
"""Makes a release's environment of Python, out of its wheels or of what the host has of them."""

# Imports stand where Ansible wants them: below what documents the module.
# ruff: noqa: E402

DOCUMENTATION = """
module: gtsd_environment
short_description: Make the environment of Python in which a release runs
description:
  - >-
    Installs the wheels of an unpacked release by their hashes and from nowhere else, into an
    environment of its own, and removes them.
  - >-
    Where a complete release on the host was installed from the same packages, they are copied from
    there and the service's own wheel alone is installed, which takes a third of the time.
options:
  release: {description: The folder of the unpacked release., type: path, required: true}
"""
EXAMPLES = """
- name: Install its packages
  gtsd_environment:
    release: /opt/gtsd/releases/1.4.0
"""
RETURN = """
copied: {description: "The release whose packages were taken, or nothing.", type: str}
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# What the service calls itself in the list of what to install.
_OWN = "gtsd=="
_PIPS = Path("/usr/share/python-wheels")


class Failed(Exception):
    """What went wrong, as the program says it."""


def make(release: Path, python: Path, pip: Path) -> str:
    """The name of the release whose packages were copied, or "" where all came from wheels.

    ``python`` makes the environment, ``pip`` is a wheel of it: installing that first would take as
    long as the packages. Raises Failed; what is there by then is no complete release.
    """
    wanted = release / list_name()
    kin = _kin(release)
    _run([str(python), "-m", "venv", "--without-pip", str(release / "venv")])
    if kin:
        _copy(kin, release)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as own:
        own.writelines(line for line in _lines(wanted) if line.startswith(_OWN))
        own.flush()
        _run([
            str(release / "venv/bin/python"), f"{pip}/pip", "install", "--quiet", "--no-index",
            "--no-deps", "--require-hashes", "--only-binary=:all:",
            f"--find-links={release / 'wheels'}", f"--requirement={own.name if kin else wanted}",
        ])  # fmt: skip
    shutil.rmtree(release / "wheels")
    return kin.name if kin else ""


def list_name() -> str:
    """The file that lists what this Python installs of a release."""
    return f"requirements-{sys.version_info.major}.{sys.version_info.minor}.txt"


def _kin(release: Path) -> Path | None:
    """A complete release that has the same packages, by their hashes; the one that served last."""
    others = _others(release / list_name())
    # The last file of a release: without it, it was given up halfway.
    marks = sorted(release.parent.glob("*/.complete"), key=lambda mark: -mark.stat().st_mtime)
    for folder in (mark.parent for mark in marks):
        listed = folder / list_name()
        whole = folder != release and listed.exists() and _packages(folder).is_dir()
        if whole and _others(listed) == others:
            return folder
    return None


def _lines(listed: Path) -> list[str]:
    return listed.read_text().splitlines(keepends=True)


def _others(listed: Path) -> list[str]:
    return [line for line in _lines(listed) if not line.startswith(_OWN)]


def _packages(release: Path) -> Path:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return release / "venv/lib" / version / "site-packages"


def _copy(kin: Path, release: Path) -> None:
    """A copy and no links: nobody changes two releases who changes a file of one."""
    packages = _packages(release)
    _run(["cp", "--archive", "--reflink=auto", f"{_packages(kin)}/.", str(packages)])
    for path in [packages / "gtsd", *packages.glob(f"{_OWN[:-2]}-*.dist-info")]:
        shutil.rmtree(path)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise Failed(f"{' '.join(command[:4])}: {(done.stderr or done.stdout).strip()}")


def main() -> None:
    """Entry point of the module."""
    from ansible.module_utils.basic import AnsibleModule

    module = AnsibleModule({"release": {"type": "path", "required": True}})
    pips = sorted(_PIPS.glob("pip-*.whl"))
    if len(pips) != 1:
        module.fail_json(msg=f"{_PIPS} has {len(pips)} wheels of pip: install python3-venv again.")
    try:
        copied = make(Path(module.params["release"]), Path(sys.executable), pips[0])
        module.exit_json(changed=True, copied=copied)
    except (Failed, OSError) as error:
        module.fail_json(msg=f"The packages cannot be installed: {error}")


if __name__ == "__main__":
    main()
