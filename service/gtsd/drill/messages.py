"""What pgBackRest and PostgreSQL said when they failed, as a cause and a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from gtsd.drill.errors import Cause, DrillError

_FULL = re.compile(r"No space left on device|\[064\]|\[FileWriteError\]")
# Format, checksum and cipher: the bytes are not those that were written.
_BROKEN = re.compile(r"\[(026|029|095)\]|\[(Checksum|Format|Crypto)Error\]|does not match expected")
_GONE = re.compile(r"unable to open missing file '([^']+)'")
_RESTORING = re.compile(r"error restoring '([^']+)'")
_LOADING = re.compile(r"unable to load [\w ]*file '([^']+)'")
_VERIFIED = re.compile(
    r"(?:invalid checksum|invalid size|size invalid|checksum invalid|file missing|missing file)"
    r" '([^']+)'|invalid result (\S+): "
)
_ARCHIVE_GET = re.compile(r"unable to get ([0-9A-F]{24})[^\n]*:\s*\n\s*repo\d+: (\S+) ([^\n]*)")
_ERROR = re.compile(r"ERROR: \[\d+\]: ([^\n]*)")
# What it answers to us, who ask whether it is up, is no reason for its end.
_FATAL = re.compile(r"(?:FATAL|PANIC):  (?!the database system is)([^\n]*)")
_EARLY = re.compile(r"WAL ends before end of online backup|could not locate required checkpoint")
_MOST = 300


def of_restore(said: str, free_bytes: int, damaged_files: Callable[[], list[str]]) -> DrillError:
    """Of a restore; ``damaged_files`` is asked where pgBackRest does not name the file itself."""
    if _FULL.search(said):
        return disk_full(free_bytes)
    if match := _GONE.search(said):
        return DrillError(
            Cause.DAMAGED, f"the repository lacks the file {match[1]}, which the backup needs"
        )
    if _BROKEN.search(said):
        found = _RESTORING.search(said) or _LOADING.search(said)
        return damaged([found[1]] if found else damaged_files())
    return DrillError(Cause.REPOSITORY, f"pgBackRest could not restore: {sentence(said)}")


def of_server(log: str, free_bytes: int) -> DrillError:
    """Of a PostgreSQL that ended, or stopped early, while it replayed the archive."""
    if _FULL.search(log):
        return disk_full(free_bytes)
    if match := _ARCHIVE_GET.search(log):
        return _unreadable_segment(match[1], match[2], match[3])
    if _EARLY.search(log):
        return DrillError(
            Cause.WAL_MISSING, "the archive ends before the WAL that the backup itself needs"
        )
    fatal = _FATAL.findall(log)
    why = short(fatal[-1]) if fatal else "it ended without a word"
    return DrillError(Cause.SERVER, f"PostgreSQL does not start on the restored data: {why}")


def of_stop(log: str, free_bytes: int, newest: str, position: str | None) -> DrillError:
    """Of a recovery that ended before the newest segment that the archive has."""
    if _FULL.search(log):
        return disk_full(free_bytes)
    if match := _ARCHIVE_GET.search(log):
        return _unreadable_segment(match[1], match[2], match[3])
    return DrillError(
        Cause.WAL_MISSING,
        f"recovery stopped at {position}, before the newest WAL segment {newest} of the archive:"
        " the WAL in between cannot be used",
    )


def _unreadable_segment(name: str, path: str, why: str) -> DrillError:
    if _BROKEN.search(why):
        return DrillError(
            Cause.DAMAGED,
            f"the WAL segment {name} is damaged in the repository (archive file {path}): nothing"
            " after it can be restored",
        )
    return DrillError(Cause.REPOSITORY, f"the WAL segment {name} cannot be read: {short(why)}")


def disk_full(free_bytes: int) -> DrillError:
    """Something could not be written."""
    return DrillError(
        Cause.DISK_FULL,
        f"the disk of the drill's folder is full: {megabytes(free_bytes)} are free",
    )


def damaged(names: list[str]) -> DrillError:
    """Bytes of the repository are not those that were written."""
    if not names:
        return DrillError(
            Cause.DAMAGED,
            "a file of the backup is damaged, and `pgbackrest verify` does not say which",
        )
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    which = ", ".join(names[:3]) + more
    return DrillError(Cause.DAMAGED, f"damaged in the repository: {which}")


def not_loaded(said: str) -> str | None:
    """The file of which pgBackRest says that it cannot make sense of it."""
    match = _LOADING.search(said)
    return match[1] if match else None


def verified(said: str) -> list[str]:
    """The files that `pgbackrest verify` found wrong."""
    return [quoted or bare for quoted, bare in _VERIFIED.findall(said)]


def sentence(said: str) -> str:
    """The first error in pgBackRest's output, on one line."""
    match = _ERROR.search(said)
    return short(match[1] if match else said)


def short(text: str) -> str:
    """On one line that fits into one, with nothing that a terminal would obey."""
    printable = "".join(each if each.isprintable() else " " for each in text)
    words = " ".join(printable.split())
    return words if len(words) <= _MOST else f"{words[:_MOST]}…"


def megabytes(number: float) -> str:
    """A size for people."""
    return f"{number / 1_000_000:,.0f} MB"


def not_found(program: Path | str, package: str) -> DrillError:
    """A program that the host lacks."""
    return DrillError(Cause.PREPARE, f"{program} is not there: install {package}")
