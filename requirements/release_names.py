"""What a release and its files are called."""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
# It becomes a folder, an instance of a unit and a Python version.
VERSION: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+((a|b|rc|\.dev|\.post)[0-9]+)?")


def project_version() -> str:
    """What pyproject.toml says."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def parser(description: str) -> argparse.ArgumentParser:
    """The arguments that all programs about releases have: ``version`` and ``folder``."""
    made = argparse.ArgumentParser("make release", description=description)
    made.add_argument("--version", type=_version, default=project_version(), metavar="VERSION")
    made.add_argument("--folder", type=Path, default=ROOT / "dist", help="where the archive is")
    return made


def _version(text: str) -> str:
    if not VERSION.fullmatch(text):
        raise argparse.ArgumentTypeError(f"VERSION must be like 1.4.0 or 1.4.0rc1, not {text!r}")
    return text


def archive_of(version: str, folder: Path) -> Path:
    """The archive of a release."""
    return folder / f"gtsd-{version}.tar.gz"


def signature_of(archive: Path) -> Path:
    """The signature of an archive."""
    return archive.with_name(f"{archive.name}.sig")
