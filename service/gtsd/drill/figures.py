"""What a drill has to tell: one line for the log, and metrics for node_exporter."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from prometheus_client.parser import text_string_to_metric_families

from gtsd.drill.errors import Cause
from gtsd.drill.reading import Table

_SUCCESS: Final = "gtsd_restore_last_success_timestamp_seconds"


@dataclass
class Figures:
    """Durations in seconds; None is what a drill did not come to know."""

    began: datetime
    step: str = "prepare"
    cause: Cause | None = None
    why: str | None = None
    rto: float | None = None
    rpo: float | None = None
    bytes: int | None = None
    steps: dict[str, float] = field(default_factory=dict)
    # The backup, the way through the archive, and what was proved.
    facts: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    passed: bool = False

    def line(self) -> str:
        """One JSON object on one line."""
        told: dict[str, Any] = {
            "time": self.began.isoformat(timespec="milliseconds"),
            "level": "info" if self.passed else "error",
            "msg": "restore drill passed" if self.passed else "restore drill failed",
        }
        if not self.passed:
            told |= {"step": self.step, "cause": self.cause or "unexpected", "why": self.why}
        told |= {
            "rto_seconds": _rounded(self.rto),
            "rpo_seconds": _rounded(self.rpo),
            "bytes": self.bytes,
            "steps": {name: _rounded(seconds) for name, seconds in self.steps.items()},
            **self.facts,
            "rows": sum(table.rows for table in self.tables.values()),
            "tables": {name: table._asdict() for name, table in self.tables.items()},
        }
        return json.dumps(told, default=str)

    def write(self, path: Path) -> None:
        """In place of the old file, at once; the time of the last success stays. Raises OSError."""
        registry = CollectorRegistry()
        success = self.began.timestamp() if self.passed else last_success(path)
        if success is not None:
            _gauge(registry, _SUCCESS, "When the last drill that passed began.", success)
        _gauge(
            registry,
            "gtsd_restore_last_run_timestamp_seconds",
            "When the last drill began.",
            self.began.timestamp(),
        )
        _gauge(registry, "gtsd_restore_ok", "1 where the last drill passed, else 0.", self.passed)
        _gauge(
            registry,
            "gtsd_restore_rto_seconds",
            "From the start of the last drill to a database that answers.",
            self.rto,
        )
        _gauge(
            registry,
            "gtsd_restore_rpo_seconds",
            "Age, as the last drill began, of the newest commit that could be restored.",
            self.rpo,
        )
        _gauge(registry, "gtsd_restore_bytes", "Size of the restored database.", self.bytes)
        step = Gauge(
            "gtsd_restore_step_seconds",
            "Duration of each step of the last drill.",
            ["step"],
            registry=registry,
        )
        for name, seconds in self.steps.items():
            step.labels(name).set(seconds)
        # Everybody may read it: node_exporter is another user.
        before = os.umask(0o022)
        try:
            write_to_textfile(str(path), registry)
        finally:
            os.umask(before)


def last_success(path: Path) -> float | None:
    """What the file of an earlier drill says of it; raises OSError."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == _SUCCESS:
                return sample.value
    return None


def _gauge(registry: CollectorRegistry, name: str, help_: str, value: float | None) -> None:
    if value is not None:
        Gauge(name, help_, registry=registry).set(value)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
