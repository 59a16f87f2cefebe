"""Judges what the hosts said after a release, and shows it: an item green or red, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Finding = dict[str, str]
# With fewer requests a share says nothing.
_ENOUGH = 100
_MOST_FAILED = 0.001
_SLOWER = 2.0
# Below it, twice as much is nothing that anybody notices; seconds.
_FAST = 0.1
_DAYS = 7.0


def _finding(host: str, item: str, says: str, *, good: bool) -> Finding:
    return {"host": host, "item": item, "state": "green" if good else "red", "says": says}


def service_findings(state: dict[str, Any], host: str, version: str) -> list[Finding]:
    """From gtsd_host_info: whether all of it runs, and which release."""
    faults = [
        f"{word} {', '.join(map(str, state[name]))}"
        for name, word in (("missing", "does not run:"), ("stale", "runs something older:"),
                           ("not_ready", "is not ready:"))
        if state[name]
    ]  # fmt: skip
    worker = state["worker"]
    other = "" if state["current"] == version else f", the ledger says {version}"
    return [
        _finding(host, "health", "; ".join(faults) or "every instance is ready", good=not faults),
        _finding(host, "worker", worker.replace("_", " "), good=worker == "ready"),
        _finding(host, "version", f"{state['current']} serves" + other, good=not other),
    ]


def program_finding(result: dict[str, Any], host: str) -> Finding:
    """From gtsd_environment in check mode: files that somebody changed, which a rollback keeps."""
    edited = result["edited"]
    says = f"{len(edited)} files were changed by hand: {', '.join(edited[:3])}"
    return _finding(host, "program", says if edited else "as it was installed", good=not edited)


def command_finding(result: dict[str, Any], host: str, item: str) -> Finding:
    """A program that says what is wrong, and by its exit status whether anything is."""
    said = (result.get("stdout") or "").strip() or (result.get("stderr") or "").strip()
    return _finding(host, item, said or "it said nothing", good=result.get("rc") == 0)


def log_finding(result: dict[str, Any], host: str, since: str) -> Finding:
    """Lines of level error and above, of which the newest is shown."""
    lines = [line for line in (result.get("stdout") or "").splitlines() if line.strip()]
    if not lines:
        return _finding(host, "error logs", f"none since {since}", good=True)
    says = f"{len(lines)} since {since}; the last: {lines[-1][:300]}"
    return _finding(host, "error logs", says, good=False)


def traffic_finding(traffic: dict[str, Any], host: str) -> Finding:
    """Failures and the 95th percentile since the release, against the hour before it."""
    after, before = traffic["after"], traffic["before"]
    says = (
        f"{after['failed']} of {after['requests']} requests failed, before {before['failed']} of"
        f" {before['requests']}; p95 {_ms(after['p95'])}, before {_ms(before['p95'])}"
    )
    if after["requests"] < _ENOUGH:
        return _finding(host, "metrics", f"{says}; too few to compare", good=after["failed"] == 0)
    share = after["failed"] / after["requests"]
    former = before["failed"] / before["requests"] if before["requests"] else 0.0
    calm = share <= max(_MOST_FAILED, former)
    bound = max(_FAST, _SLOWER * (before["p95"] or 0.0))
    return _finding(host, "metrics", says, good=calm and after["p95"] <= bound)


def certificate_finding(result: dict[str, Any], host: str, days: float) -> Finding:
    """The certificate that is served, by the days that are left."""
    if result.get("failed") or "not_after" not in result:
        return _finding(host, "certificate", str(result.get("msg", "none is shown")), good=False)
    says = f"{days:.0f} days are left of what is served"
    return _finding(host, "certificate", says, good=days >= _DAYS)


def findings_table(findings: list[Finding], title: str) -> str:
    """By item, then host; the reds once more at the end, since that is what one sees."""
    width = max((len(f["item"]) for f in findings), default=0)
    place = max((len(f["host"]) for f in findings), default=0)
    rows = [
        f"  {f['state']:5}  {f['item']:{width}}  {f['host']:{place}}  {f['says']}"
        for f in sorted(findings, key=lambda f: (f["item"], f["host"]))
    ]
    red = [row for row in rows if row.startswith("  red")]
    return "\n".join([title, *rows, "", f"{len(red)} red, {len(rows) - len(red)} green", *red])


def _ms(seconds: float | None) -> str:
    return "none" if seconds is None else f"{seconds * 1000:.0f} ms"


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The names that templates use."""
        return {
            "service_findings": service_findings,
            "program_finding": program_finding,
            "command_finding": command_finding,
            "log_finding": log_finding,
            "traffic_finding": traffic_finding,
            "certificate_finding": certificate_finding,
            "findings_table": findings_table,
        }
