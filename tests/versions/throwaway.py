"""A repository of its own that grows by releases, to be thrown away."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.versions import copies

_NOBODY = {
    f"GIT_{who}_{what}": text
    for who in ("AUTHOR", "COMMITTER")
    for what, text in (("NAME", "Ada"), ("EMAIL", "ada@example.com"))
}


class Repository:
    """A folder under git; what is written there is committed by ``commit``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        """What git prints."""
        environ = {**os.environ, **_NOBODY, "GIT_CONFIG_GLOBAL": os.devnull}
        command = ["git", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=environ, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def fill(self, checkout: Path) -> None:
        """With the files of a checkout."""
        copies.of_desk(checkout, self.folder)

    def commit(self, version: str) -> str:
        """Everything, as that version in pyproject.toml; the commit."""
        file = self.folder / "pyproject.toml"
        text = file.read_text() if file.exists() else '[project]\nversion = ""\n'
        file.write_text(re.sub(r'(?m)^version = ".*"$', f'version = "{version}"', text, count=1))
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", f"Be {version}")
        return self.git("rev-parse", "HEAD")

    def replace(self, file: str, old: str, new: str) -> None:
        """One text in a file by another; it has to be there, once."""
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) == 1, f"{file}: {text.count(old)} × {old!r}"
        path.write_text(text.replace(old, new))

    def migration(self, name: str, phase: str, statement: str, undo: str) -> None:
        """One more, behind those that are there."""
        folder = self.folder / "migrations"
        number = 1 + max(int(path.name[:4]) for path in folder.glob("0*.sql"))
        header = f"-- purpose: a control\n-- phase: {phase}\n-- lock: ACCESS EXCLUSIVE on users\n"
        (folder / f"{number:04}_{name}.sql").write_text(
            f"{header}-- undo: as it was\n\n{statement};\n"
        )
        (folder / f"{number:04}_{name}.undo.sql").write_text(f"{undo};\n")
