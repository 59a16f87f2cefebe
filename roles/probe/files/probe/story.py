"""What a report is made of: the run's history by seconds, and what was done meanwhile."""

from __future__ import annotations

import difflib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from probe.errors import ProbeError
from probe.folder import Folder

VERDICTS: Final = ("released", "reverted", "rolled back", "failed")
_WORDS: Final = ("version", "title", "previous", "environment", "verdict", "reason")
# Fewer requests have no slowest hundredth.
_ENOUGH: Final = 100


@dataclass(frozen=True)
class Mark:
    """Something that was done to a host, at a time in seconds since 1970."""

    at: float
    host: str
    what: str


@dataclass(frozen=True)
class Events:
    """What the release says of itself; all but the version may be missing."""

    version: str
    title: str = ""
    previous: str = ""
    environment: str = ""
    verdict: str = ""
    reason: str = ""
    started: float | None = None
    ended: float | None = None
    marks: Sequence[Mark] = ()
    plan: Sequence[str] = ()
    diffs: Sequence[tuple[str, str]] = ()
    record: dict[str, Any] = field(default_factory=dict)


def read_events(file: Path | None) -> Events:
    """Raises ProbeError that names the field for a file that cannot be used."""
    if file is None:
        return Events("unknown")
    try:
        given = json.loads(file.read_text())
    except OSError as error:
        raise ProbeError(f"--events {file}: {error.strerror}") from error
    except ValueError as error:
        raise ProbeError(f"--events {file}: is no JSON ({error})") from error
    example = '{"version": "1.4.0", "marks": [{"at": 1795867200, "host": "app1", "what": "…"}]}'
    if not isinstance(given, dict) or not given.get("version"):
        raise ProbeError(f"--events {file}: version is missing; write for example {example}")
    if given.get("verdict") and given["verdict"] not in VERDICTS:
        raise ProbeError(
            f"--events {file}: verdict is {given['verdict']!r}; it is one of {', '.join(VERDICTS)}"
        )
    try:
        marks = [
            Mark(float(m["at"]), str(m["host"]), str(m["what"])) for m in _list(given, "marks")
        ]
        diffs = [(str(diff["title"]), _difference(diff)) for diff in _list(given, "diffs")]
        times = {name: float(given[name]) for name in ("started", "ended") if given.get(name)}
    except (KeyError, TypeError, ValueError) as error:
        raise ProbeError(
            f"--events {file}: marks have at, host and what, diffs title and text (or before and "
            f"after), started and ended are seconds since 1970 ({type(error).__name__}: {error}); "
            f"write for example {example}"
        ) from error
    words = {name: str(given.get(name) or "") for name in _WORDS}
    return Events(
        version=words["version"],
        title=words["title"],
        previous=words["previous"],
        environment=words["environment"],
        verdict=words["verdict"],
        reason=words["reason"],
        started=times.get("started"),
        ended=times.get("ended"),
        marks=sorted(marks, key=lambda mark: mark.at),
        plan=[str(line) for line in _list(given, "plan")],
        diffs=diffs,
        record=given.get("record") or {},
    )


def _difference(diff: dict[str, Any]) -> str:
    """A unified diff: as it was given, or of the texts before and after."""
    if "text" in diff:
        return str(diff["text"])
    before, after = (str(diff[name]).splitlines() for name in ("before", "after"))
    return "\n".join(difflib.unified_diff(before, after, "before", "after", lineterm=""))


def _list(given: dict[str, Any], name: str) -> list[Any]:
    value = given.get(name) or []
    if not isinstance(value, list):
        raise TypeError(f"{name} is no list")
    return value


@dataclass(frozen=True)
class Second:
    """What came in one second. Durations in seconds; None without ordinary requests."""

    at: int
    requests: int
    p50: float | None
    p99: float | None


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value that so large a share does not exceed; None where there are none."""
    if not values:
        return None
    return sorted(values)[math.ceil(share * len(values)) - 1]


@dataclass
class Story:
    """A run as a whole."""

    requests: int
    failed: int
    written: int
    seconds: list[Second]
    failures: list[dict[str, Any]]
    by_reason: Counter[str]
    by_route: dict[str, dict[str, Any]]
    by_protocol: Counter[str]
    p50: float | None
    p95: float | None
    p99: float | None
    # Before the first host was touched.
    steady_p99: float | None
    began: float
    ended: float


def tell(folder: Folder, events: Events) -> Story:
    """Read the whole history; raises ProbeError where there is none."""
    if not folder.history.exists():
        raise ProbeError(f"There is no history in {folder.path}: no outside client ran there.")
    rows = list(folder.rows())
    durations: dict[int, list[float]] = defaultdict(list)
    routes: dict[str, list[dict[str, Any]]] = defaultdict(list)
    counts: Counter[int] = Counter()
    for row in rows:
        second = int(row["scheduled"])
        counts[second] += 1
        durations[second] += [] if row["slow"] else [row["seconds"]]
        routes[f"{row['method']} {row['route']}" + (f", {row['kind']}" * row["slow"])].append(row)
    plain = [row["seconds"] for row in rows if not row["slow"]]
    first = min((mark.at for mark in events.marks), default=math.inf)
    steady = [row["seconds"] for row in rows if not row["slow"] and row["scheduled"] < first]
    failures = [row for row in rows if row["reason"] is not None]
    known = steady if events.marks and len(steady) >= _ENOUGH else []
    return Story(
        requests=len(rows),
        failed=len(failures),
        written=sum(1 for row in rows if row["write"] and row["reason"] is None),
        seconds=[_second(at, counts[at], durations[at]) for at in sorted(counts)],
        failures=sorted(failures, key=lambda row: float(row["scheduled"])),
        by_reason=Counter(row["reason"] for row in failures),
        by_route={name: _route(routes[name]) for name in sorted(routes)},
        by_protocol=Counter(f"{row['protocol']}, {row['connection']} connection" for row in rows),
        p50=percentile(plain, 0.5),
        p95=percentile(plain, 0.95),
        p99=percentile(plain, 0.99),
        steady_p99=percentile(known, 0.99),
        began=min((row["scheduled"] for row in rows), default=events.started or 0.0),
        ended=max((row["scheduled"] for row in rows), default=events.ended or 0.0),
    )


def _second(at: int, requests: int, durations: list[float]) -> Second:
    return Second(at, requests, percentile(durations, 0.5), percentile(durations, 0.99))


def _route(rows: list[dict[str, Any]]) -> dict[str, Any]:
    durations = [row["seconds"] for row in rows]
    return {
        "requests": len(rows),
        "failed": sum(row["reason"] is not None for row in rows),
        "p50": percentile(durations, 0.5),
        "p99": percentile(durations, 0.99),
    }


def milliseconds(seconds: float | None) -> str:
    """For people: 34 ms, 1,250 ms; a dash for None."""
    if seconds is None:
        return "–"
    value = seconds * 1000
    return f"{value:.1f} ms" if value < 10 else f"{value:,.0f} ms"


def summary(story: Story) -> str:
    """The run in one sentence."""
    if not story.requests:
        return "No request was made, so nothing is known."
    text = f"{story.failed:,} of {story.requests:,} requests failed"
    if story.p99 is not None:
        text += f"; p99 {milliseconds(story.p99)}"
    if story.p99 is not None and story.steady_p99:
        text += (
            f", {story.p99 / story.steady_p99:.1f}× of the steady {milliseconds(story.steady_p99)}"
        )
    return f"{text}."


def for_machines(story: Story, events: Events) -> dict[str, Any]:
    """history.json: totals of the run; durations in seconds."""
    return {
        "version": events.version,
        "previous": events.previous,
        "environment": events.environment,
        "verdict": events.verdict,
        "summary": summary(story),
        "began": story.began,
        "ended": story.ended,
        "requests": story.requests,
        "failed": story.failed,
        "written": story.written,
        "by_reason": dict(story.by_reason),
        "by_route": story.by_route,
        "by_protocol": dict(story.by_protocol),
        "p50": story.p50,
        "p95": story.p95,
        "p99": story.p99,
        "steady_p99": story.steady_p99,
        "marks": [{"at": mark.at, "host": mark.host, "what": mark.what} for mark in events.marks],
    }
