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
    Where a complete release on the host was installed from the same packages, and none of their
    files was changed since, both releases have the same files (hard links): a tenth of the time and
    of the disk. The service's own wheel alone is installed.
  - In check mode it says which files of an environment were changed since they were installed.
options:
  release: {description: The folder of the unpacked release., type: path, required: true}
  archive: {description: "SHA-256 of its archive: the release is marked as complete.", type: str}
"""
EXAMPLES = """
- name: Install its packages
  gtsd_environment:
    release: /opt/gtsd/releases/1.4.0
    archive: "{{ unpacked.checksum }}"
"""
RETURN = """
shared_with: {description: "The release whose packages were taken, or nothing.", type: str}
edited: {description: "In check mode: files that were changed or removed by hand.", type: list}
"""

import base64
import hashlib
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

# What the service calls itself in the list of what to install.
_OWN = "gtsd=="
# The last file of a release: without it, it was given up halfway.
MARK = ".complete"
_PIPS = Path("/usr/share/python-wheels")


class Failed(Exception):
    """What went wrong, as the program says it."""


def make(release: Path, python: Path, pip: Path) -> str:
    """The name of the release whose packages are shared, or "" where all came from wheels.

    ``python`` makes the environment, ``pip`` is a wheel of it: installing that first would take as
    long as the packages. Raises Failed; what is there by then is no complete release.
    """
    wanted = release / list_name()
    kin = _kin(release)
    _run([str(python), "-m", "venv", "--without-pip", str(release / "venv")])
    if kin:
        _link(kin, release)
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


def edited(release: Path) -> list[str]:
    """The files of its packages that are not as they were installed, below site-packages.

    A wheel's RECORD has the SHA-256 of each (packaging.python.org, "Recording installed projects");
    what Python has compiled has none. 4,800 files take 0.2 s.
    """
    found = metadata.distributions(path=[str(_packages(release))])
    files = [file for package in found for file in package.files or []]
    # Commands of packages, which lie elsewhere, nobody uses.
    inside = [(file, file.hash) for file in files if file.hash and ".." not in file.parts]
    return sorted(str(file) for file, digest in inside if not _is_whole(file, digest))


def _is_whole(file: metadata.PackagePath, wanted: metadata.FileHash) -> bool:
    try:
        digest = hashlib.new(wanted.mode, Path(file.locate()).read_bytes()).digest()
    except OSError:
        return False
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == wanted.value


def _kin(release: Path) -> Path | None:
    """A complete release that has the same packages, by their hashes; the one that served last."""
    others = _others(release / list_name())
    marks = sorted(release.parent.glob(f"*/{MARK}"), key=lambda mark: -mark.stat().st_mtime)
    for folder in (mark.parent for mark in marks):
        listed = folder / list_name()
        whole = folder != release and listed.exists() and _packages(folder).is_dir()
        # What somebody tried out by hand is not to spread.
        if whole and _others(listed) == others and not edited(folder):
            return folder
    return None


def _lines(listed: Path) -> list[str]:
    return listed.read_text().splitlines(keepends=True)


def _others(listed: Path) -> list[str]:
    return [line for line in _lines(listed) if not line.startswith(_OWN)]


def _packages(release: Path) -> Path:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return release / "venv/lib" / version / "site-packages"


def _link(kin: Path, release: Path) -> None:
    """Files are shared, folders are not: who replaces a file has replaced it in one release alone.

    Who writes into one has changed it in both, which ``edited`` tells: verify.yml asks for it.
    """
    packages = _packages(release)
    _run(["cp", "--archive", "--link", f"{_packages(kin)}/.", str(packages)])
    for path in [packages / "gtsd", *packages.glob(f"{_OWN[:-2]}-*.dist-info")]:
        shutil.rmtree(path)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise Failed(f"{' '.join(command[:4])}: {(done.stderr or done.stdout).strip()}")


def main() -> None:
    """Entry point of the module."""
    from ansible.module_utils.basic import AnsibleModule

    module = AnsibleModule(
        {"release": {"type": "path", "required": True}, "archive": {"type": "str"}},
        supports_check_mode=True,
    )
    release = Path(module.params["release"])
    if module.check_mode:
        found = edited(release)
        module.exit_json(changed=bool(found), edited=found)
    pips = sorted(_PIPS.glob("pip-*.whl"))
    if len(pips) != 1:
        module.fail_json(msg=f"{_PIPS} has {len(pips)} wheels of pip: install python3-venv again.")
    try:
        shared_with = make(release, Path(sys.executable), pips[0])
        if module.params["archive"]:
            (release / MARK).write_text(f"{module.params['archive']}\n")
        module.exit_json(changed=True, shared_with=shared_with)
    except (Failed, OSError) as error:
        module.fail_json(msg=f"The packages cannot be installed: {error}")


if __name__ == "__main__":
    main()
