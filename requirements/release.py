#!/usr/bin/env python3
"""Builds dist/gtsd-VERSION.tar.gz, all that a host needs to run that version: `make release`.

Run by the Python of .venvs/build. The same commit gives the same bytes; release_signature.py signs
them. What is inside:

    release.json            version, commit, Pythons, and the SHA-256 of every other file
    sbom.json               each wheel with its version and SHA-256, in CycloneDX
    release.env             APP_VERSION and GIT_SHA, read by the units after gtsd.env
    wheels/                 the service and all that it needs, for every Python named below
    requirements-3.NN.txt   what to install of it with that Python, each with its hash
    migrations/             as in the repository
    bin/gtsd                the operators' command
    README.md               what the units say and why
    etc/                    units, users and links, in their places below /etc

Beside it are gtsd-VERSION.tar.gz.sha256, for `sha256sum --check`, and gtsd-VERSION.cdx.json, the
same as sbom.json.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from requirements.release_names import ROOT, archive_of, parser, signature_of
from requirements.release_sbom import parts, sbom

# Of Debian 12 and of Debian 13.
PYTHONS: Final = ("3.11", "3.13")
# The older of the two has glibc 2.36; wheels for what is older run there as well.
_GLIBC: Final = range(36, 4, -1)
# Where each kind of file in systemd/ belongs on a host; of others nothing is shipped.
_PLACES: Final = {
    "*.service": "etc/systemd/system",
    "*.socket": "etc/systemd/system",
    "*.target": "etc/systemd/system",
    "*.timer": "etc/systemd/system",
    "sysusers.d/*.conf": "etc/sysusers.d",
    "tmpfiles.d/*.conf": "etc/tmpfiles.d",
    "bin/*": "bin",
    "trial.env": ".",
    "README.md": ".",
}


def main(arguments: Sequence[str]) -> int:
    """Build it and print its path and digest."""
    given = parser("Build a release's archive.").parse_args(arguments)
    archive = build(given.version, given.folder)
    sys.stdout.write(f"{archive}\nsha256 {digest(archive)}\n")
    return 0


def build(version: str, folder: Path) -> Path:
    """The finished archive, in the folder; it appears there whole or not at all.

    A signature that lies there of other bytes under that version is removed.
    """
    sha, when = commit()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        release = Path(temporary, f"gtsd-{version}")
        release.mkdir()
        add_wheels(release, service_wheel(version, when, Path(temporary)), folder / "wheels")
        add_files(release)
        wheels = {file.name: digest(file) for file in (release / "wheels").iterdir()}
        bill = sbom(version, wheels, direct_dependencies(), when)
        (release / "sbom.json").write_text(bill)
        (release / "release.env").write_text(f"APP_VERSION={version}\nGIT_SHA={sha}\n")
        add_description(release, version, sha)
        packed = Path(temporary, "packed")
        pack(release, packed, when)
        archive = publish(packed, archive_of(version, folder))
    (folder / f"gtsd-{version}.cdx.json").write_text(bill)
    return archive


def publish(packed: Path, archive: Path) -> Path:
    """Put the archive into its place, and its digest beside it."""
    fresh = digest(packed)
    if not archive.exists() or digest(archive) != fresh:
        signature_of(archive).unlink(missing_ok=True)
    packed.replace(archive)
    archive.with_name(f"{archive.name}.sha256").write_text(f"{fresh}  {archive.name}\n")
    return archive


def direct_dependencies() -> set[str]:
    """The packages that the service itself asks for, out of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {re.split(r"[\[<>=!~; ]", line)[0] for line in project["dependencies"]}


def commit() -> tuple[str, int]:
    """The commit that is built and its time; "-dirty" is added where files differ from it."""
    if not (ROOT / ".git").exists():
        return "unknown", 0
    sha, when = _git("log", "-1", "--format=%h %ct").split()
    dirty = _git("status", "--porcelain", "--untracked-files=no", "--", "service", "migrations",
                 "systemd", "requirements", "pyproject.toml")  # fmt: skip
    return sha + ("-dirty" if dirty.strip() else ""), int(when)


def service_wheel(version: str, when: int, folder: Path) -> Path:
    """The service as a wheel of that version, whatever pyproject.toml says."""
    stage, out = folder / "stage", folder / "wheel"
    shutil.copytree(
        ROOT / "service", stage / "service", ignore=shutil.ignore_patterns("__pycache__")
    )
    project = (ROOT / "pyproject.toml").read_text()
    changed = re.sub(r'(?m)^version = "[^"]+"$', f'version = "{version}"', project, count=1)
    (stage / "pyproject.toml").write_text(changed)
    _run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, stage],
        {"SOURCE_DATE_EPOCH": str(when or 315_532_800)},  # zip knows no time before 1980
    )
    return next(out.glob("*.whl"))


def add_wheels(release: Path, service: Path, cache: Path) -> None:
    """Put all wheels into the release, and for each Python the list of what to install."""
    wheels = release / "wheels"
    wheels.mkdir()
    for python in PYTHONS:
        files = [service, *downloaded(python, cache)]
        for file in files:
            shutil.copy(file, wheels)
        lines = sorted(f"{requirement(file)} --hash=sha256:{digest(file)}" for file in files)
        (release / f"requirements-{python}.txt").write_text("\n".join(lines) + "\n")


def downloaded(python: str, cache: Path) -> list[Path]:
    """The wheels of requirements/runtime.txt for that Python; fetched once for each lock."""
    lock = ROOT / "requirements" / "runtime.txt"
    place = cache / f"{python}-{digest(lock)[:12]}"
    if not place.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as temporary:
            platforms = [f"manylinux_2_{minor}_x86_64" for minor in _GLIBC]
            platforms += ["manylinux2014_x86_64"]
            options = [f"--platform={name}" for name in platforms]
            options += [f"--abi={abi}" for abi in (f"cp{python.replace('.', '')}", "abi3", "none")]
            _run(
                [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps",
                 "--disable-pip-version-check", "--require-hashes", "--only-binary=:all:",
                 "--implementation=cp", f"--python-version={python}", *options,
                 f"--dest={temporary}/wheels", f"--requirement={lock}"],
            )  # fmt: skip
            Path(temporary, "wheels").replace(place)
    return sorted(place.glob("*.whl"))


def requirement(wheel: Path) -> str:
    """``name==version``, from the name of its file."""
    return "==".join(parts(wheel.name))


def add_files(release: Path) -> None:
    """Migrations, and what systemd/ holds, in their places."""
    (release / "migrations").mkdir()
    for file in sorted((ROOT / "migrations").glob("*.sql")):
        shutil.copy(file, release / "migrations")
    for pattern, place in _PLACES.items():
        for file in sorted((ROOT / "systemd").glob(pattern)):
            (release / place).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, release / place)


def add_description(release: Path, version: str, sha: str) -> None:
    """Write release.json, which names every other file."""
    files = {str(file.relative_to(release)): digest(file) for file in _files(release)}
    told = {"version": version, "commit": sha, "pythons": PYTHONS, "files": files}
    (release / "release.json").write_text(json.dumps(told, indent=2) + "\n")


def pack(release: Path, archive: Path, when: int) -> None:
    """The same bytes for the same files: nothing of this machine, user or hour is inside."""
    with (
        archive.open("wb") as out,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=out, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        for file in _files(release):
            entry = tar.gettarinfo(file, str(Path(release.name, file.relative_to(release))))
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = "root"
            entry.mtime = when
            entry.mode = 0o755 if file.parent == release / "bin" else 0o644
            with file.open("rb") as content:
                tar.addfile(entry, content)


def digest(file: Path) -> str:
    """SHA-256, in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _git(*arguments: str) -> str:
    # Another user may own the checkout, which git refuses to read unless it is told.
    return _run(["git", "-c", "safe.directory=*", *arguments])


def _run(command: Sequence[str | Path], environ: dict[str, str] | None = None) -> str:
    done = subprocess.run(  # noqa: S603 our own words, no shell
        command,
        cwd=ROOT,
        env={**os.environ, **(environ or {})},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{done.stdout}\n{' '.join(map(str, command[:4]))} … failed; see above.")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
