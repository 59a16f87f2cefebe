"""The folder of unpacked releases, and which migrations each of them ships."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gtsd.deploys.rollback import needs_old_shape, not_shipped
from gtsd.migrate.ledger import Entry

# Where a host has them: /opt/gtsd/releases/1.4.0/migrations/0001_accounts.sql
DEFAULT_FOLDER = Path("/opt/gtsd/releases")
_UNDO = ".undo"


def shipped(migrations: Path) -> frozenset[str] | None:
    """The names in such a folder (``0001_accounts``); None where there is no folder.

    The files are not judged as `gtsd migrate` does it: an old release knew older rules.
    """
    if not migrations.is_dir():
        return None
    stems = (path.stem for path in migrations.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    return frozenset(stem for stem in stems if not stem.endswith(_UNDO))


class Releases:
    """Below one folder, one folder a release; ``by_age`` is what is known of their order."""

    def __init__(self, folder: Path, by_age: Sequence[str]) -> None:
        self.folder = folder
        self._by_age = list(by_age)

    def migrations(self, version: str) -> Path:
        return self.folder / version / "migrations"

    @property
    def versions(self) -> list[str]:
        """All that are unpacked, oldest first; those that were never released are the newest."""
        found = {path.parent.name for path in self.folder.glob("*/migrations")}
        known = [version for version in self._by_age if version in found]
        return [*known, *sorted(found - set(known))]

    def unfit(self, version: str, applied: Sequence[Entry]) -> str | None:
        """Why the release cannot run on what was applied; None where it can."""
        path = self.migrations(version)
        return self.unfit_folder(path, applied)

    def unfit_folder(self, path: Path, applied: Sequence[Entry]) -> str | None:
        """The same of the code that ships this folder of migrations."""
        names = shipped(path)
        if names is None:
            return f"nobody can tell what schema it needs: there is no folder {path}"
        lacking = not_shipped(applied, names)
        return needs_old_shape(lacking[0], self._oldest_fit(applied)) if lacking else None

    def _oldest_fit(self, applied: Sequence[Entry]) -> str | None:
        for version in self.versions:
            names = shipped(self.migrations(version))
            if names is not None and not not_shipped(applied, names):
                return version
        return None
