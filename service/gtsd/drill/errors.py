"""Why a drill failed: a kind that programs tell apart, and a sentence for who is woken by it."""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """What RUNBOOK.md has a line for."""

    PREPARE = "prepare"
    REPOSITORY = "repository"
    NO_BACKUP = "no_backup"
    WRONG_KEY = "wrong_key"
    DISK_FULL = "disk_full"
    DAMAGED = "damaged"
    WAL_MISSING = "wal_missing"
    SERVER = "server"
    INVARIANT = "invariant"
    ROWS = "rows"
    SERVICE = "service"
    STOPPED = "stopped"


class DrillError(Exception):
    """The drill ends here; all that it made is thrown away."""

    def __init__(self, cause: Cause, message: str) -> None:
        self.cause = cause
        super().__init__(message)
