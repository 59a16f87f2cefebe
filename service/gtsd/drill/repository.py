"""The repository, as pgBackRest shows it: what there is, its files, and the restore."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from gtsd.drill import messages
from gtsd.drill.errors import Cause, DrillError
from gtsd.drill.place import Place

_PROGRAM = "pgbackrest"
# Errors go to standard error, answers to standard output, and nothing to the host's own log files.
_LOGS = ("--log-level-console=off", "--log-level-file=off", "--no-log-timestamp")
_ENCRYPTED = b"Salted__"
# Each begins so; a cipher's wrong key makes noise of it from the first byte.
_INFO_START = b"[backrest]"
# Numbers of a repository's state, as `pgbackrest info` gives them.
_OK = 0
_NO_BACKUPS = 2
_OTHER = 99


class Backup(NamedTuple):
    """One of a repository; ``start`` is the name of the first segment of WAL that it needs."""

    label: str
    repo: int
    version: str
    archive: str
    start: str
    bytes: int
    ended: datetime


class Repository:
    """All calls of pgBackRest; they raise DrillError."""

    def __init__(
        self, stanza: str, config: Path | None, repo: int | None, environ: Mapping[str, str]
    ) -> None:
        self._stanza = stanza
        self._config = [] if config is None else [f"--config={config}"]
        self._repo = repo
        self._environ = dict(environ)

    def newest(self) -> Backup:
        """The newest backup of the repository that was asked for, else of the first."""
        done = self._run("info", "--output=json")
        try:
            # Not strict: with a wrong key it quotes noise.
            (told,) = json.loads(done.stdout.decode(errors="replace"), strict=False)
        except ValueError:
            said = done.stderr.decode(errors="replace")
            raise DrillError(
                Cause.REPOSITORY, f"pgBackRest cannot look into it: {messages.sentence(said)}"
            ) from None
        state = told["repo"][0]
        self._repo = int(state["key"])
        if state["status"]["code"] != _OK:
            raise self._unusable(state["status"]["code"], state["status"]["message"])
        return self._described(told)

    def _described(self, told: Mapping[str, Any]) -> Backup:
        own = [each for each in told["backup"] if each["database"]["repo-key"] == self._repo]
        found = max(own, key=lambda each: each["timestamp"]["stop"])
        which = found["database"]
        archive = next((each["id"] for each in told["archive"] if each["database"] == which), None)
        if archive is None:
            raise DrillError(
                Cause.WAL_MISSING, f"the repository has the backup {found['label']}, but no WAL"
            )
        version = next(
            each["version"]
            for each in told["db"]
            if (each["id"], each["repo-key"]) == (which["id"], which["repo-key"])
        )
        return Backup(
            found["label"],
            which["repo-key"],
            version,
            archive,
            found["archive"]["start"],
            found["info"]["size"],
            datetime.fromtimestamp(found["timestamp"]["stop"], UTC),
        )

    def _unusable(self, code: int, said: str) -> DrillError:
        if code == _OTHER:
            return self._unreadable(said)
        what = "no backup" if code == _NO_BACKUPS else "nothing"
        return DrillError(
            Cause.NO_BACKUP, f"the repository has {what} of the stanza {self._stanza}"
        )

    def _unreadable(self, said: str) -> DrillError:
        """A key that fits opens at least one of these four, whatever happened to the others."""
        names = [
            f"{folder}/{self._stanza}/{folder}.info{copy}"
            for folder in ("backup", "archive")
            for copy in ("", ".copy")
        ]
        heads = [head for name in names if (head := self._head(name)) is not None]
        if any(head.startswith(_INFO_START) for head in heads):
            lost = messages.not_loaded(said)
            if lost is not None:
                return messages.damaged([f"{lost} and its copy"])
        elif any(head.startswith(_ENCRYPTED) for head in heads):
            return DrillError(
                Cause.WRONG_KEY,
                "the repository is encrypted, and this host has no key to it (repo1-cipher-pass)",
            )
        elif heads:
            return DrillError(
                Cause.WRONG_KEY,
                "the key does not fit: nothing in the repository can be decrypted by it"
                " (repo1-cipher-pass)",
            )
        return DrillError(
            Cause.REPOSITORY, f"pgBackRest cannot look into it: {messages.short(said)}"
        )

    def _head(self, name: str) -> bytes | None:
        """How it begins, decrypted as far as that goes; None where it is not there."""
        done = self._run("repo-get", "--ignore-missing", name)
        if done.stdout:
            return done.stdout[: len(_INFO_START)]
        return b"?" if b"[095]" in done.stderr else None

    def archived(self, backup: Backup) -> dict[str, datetime]:
        """The archive's files below its folder, and when each arrived."""
        folder = f"archive/{self._stanza}/{backup.archive}"
        listed = json.loads(self._good("repo-ls", "--recurse", "--output=json", folder))
        return {
            path: datetime.fromtimestamp(entry["time"], UTC)
            for path, entry in listed.items()
            if entry["type"] == "file"
        }

    def content(self, backup: Backup, path: str) -> str:
        """A small file of the archive."""
        name = f"archive/{self._stanza}/{backup.archive}/{path}"
        return self._good("repo-get", name).decode(errors="replace")

    def restore(self, backup: Backup, place: Place) -> None:
        """Into an empty folder. Each file's checksum is compared by pgBackRest itself."""
        done = self._run(
            f"--pg1-path={place.data}",
            f"--set={backup.label}",
            f"--tablespace-map-all={place.tablespaces}",
            # A restore empties it: that of a live server on this host is none of our business.
            f"--spool-path={place.spool}",
            f"--process-max={os.cpu_count() or 1}",
            "--archive-mode=off",
            "restore",
        )
        if done.returncode == 0:
            return
        said = done.stderr.decode(errors="replace")
        raise messages.of_restore(said, place.free, lambda: self._damaged(backup))

    def _damaged(self, backup: Backup) -> list[str]:
        """Which files are, where the restore did not say it; reads the whole repository."""
        done = self._run(f"--process-max={os.cpu_count() or 1}", "verify", level="detail")
        found = messages.verified(done.stderr.decode(errors="replace"))
        of_backups = [name for name in found if not name.startswith(f"{backup.archive}/")]
        return of_backups or found

    def restore_command(self, data: Path) -> str:
        """What PostgreSQL calls for each segment of WAL."""
        words = [*self._command(), "--no-archive-async", f"--pg1-path={data}", "archive-get"]
        # Its shell gets each % of ours doubled, and then its own two.
        return shlex.join(words).replace("%", "%%") + ' %f "%p"'

    def _command(self, level: str = "warn") -> list[str]:
        repo = [] if self._repo is None else [f"--repo={self._repo}"]
        logs = [*_LOGS, f"--log-level-stderr={level}"]
        return [_PROGRAM, f"--stanza={self._stanza}", *self._config, *repo, *logs]

    def _good(self, *words: str) -> bytes:
        done = self._run(*words)
        if done.returncode != 0:
            said = messages.sentence(done.stderr.decode(errors="replace"))
            raise DrillError(Cause.REPOSITORY, f"pgBackRest cannot look into it: {said}")
        return done.stdout

    def _run(self, *words: str, level: str = "warn") -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(  # noqa: S603 - pgBackRest, as the host finds it
                [*self._command(level), *words],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        except FileNotFoundError:
            raise messages.not_found(_PROGRAM, "pgbackrest") from None
