"""The ten boxes of the Deployment Checklist, the budget of connections, and the checkout."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

Finding = dict[str, str]
_WORST = ("red", "unchecked", "green")
EVERYWHERE = "deployment"
CHECKLIST = "checklist"
_PROMETHEUS = "9090"


def _finding(check: str, state: str, says: str, host: str = EVERYWHERE) -> Finding:
    because = "cannot be checked, because " if state == "unchecked" else ""
    return {"host": host, "check": check, "state": state, "says": because + says}


def preflight_checkout(root: str) -> dict[str, str]:
    """The commit that is checked out, what CI said last, and whether going back is written down."""
    command = ["git", "-c", "safe.directory=*", "describe", "--always", "--dirty", "--abbrev=40"]
    # A tag in front would hide the commit.
    git = subprocess.run(  # noqa: S603 - constant
        [*command, "--exclude=*"], cwd=root, capture_output=True, text=True, check=False
    )
    verdict, runbook = Path(root, "dist", "ci-verdict"), Path(root, "RUNBOOK.md")
    return {
        "commit": git.stdout.strip(),
        "verdict": verdict.read_text() if verdict.exists() else "",
        "runbook": runbook.read_text() if runbook.exists() else "",
    }


def _ci(checkout: Mapping[str, str], step: str) -> tuple[str, str]:
    """What the last CI run says of a step, if it was a run of this very commit."""
    commit, _, steps = checkout["verdict"].partition("\n")
    if not commit:
        return "unchecked", "dist/ci-verdict is missing: run bash .ci/run"
    if commit.endswith("-dirty") or commit != checkout["commit"]:
        return "unchecked", f"CI last ran for {commit[:12]}, not for this checkout: bash .ci/run"
    lines = [line for line in steps.splitlines() if line.endswith(step)]
    if not lines:
        return "unchecked", f"the last CI run had no step {step}"
    good = all(line.startswith("ok") for line in lines)
    return ("green", f"{step}, {commit[:12]}") if good else ("red", f"{step} failed in CI")


def _worst(findings: Iterable[Finding], starts: tuple[str, ...]) -> tuple[str, str]:
    """The worst state among the checks whose names begin so, and the first that has it."""
    mine = [item for item in findings if item["check"].startswith(starts)]
    if not mine:
        return "unchecked", "no host answered"
    state = next(state for state in _WORST if any(item["state"] == state for item in mine))
    first = next(item for item in mine if item["state"] == state)
    says = first["says"].removeprefix("cannot be checked, because ").splitlines() or [""]
    return state, "" if state == "green" else f"{first['host']}, {first['check']}: {says[0]}"


def _monitoring(hostvars: Mapping[str, Any], hosts: Iterable[str]) -> tuple[str, str]:
    answers = [hostvars[host].get("__preflight_answer") or {} for host in hosts]
    if any(_PROMETHEUS in answer.get("probe", {}).get("listeners", {}) for answer in answers):
        return "green", ""
    return "unchecked", "no host of the group monitor runs Prometheus"


def preflight_checklist(
    findings: list[Finding],
    checkout: Mapping[str, str],
    hostvars: Mapping[str, Any],
    monitors: Iterable[str],
) -> list[Finding]:
    """The boxes of the guide, in its order and words."""
    back = re.search(
        r"^##+ .*\broll(ing)? back\b", checkout["runbook"], re.MULTILINE | re.IGNORECASE
    )
    migrations = _ci(checkout, "make lint")
    waiting = _worst(findings, ("migrations",))
    boxes = {
        "All tests pass locally and in CI": _ci(checkout, "make test"),
        # Lint reads each migration; the host says whether the plan can be made.
        "Database migrations are reviewed and tested": (
            waiting if migrations[0] == "green" or waiting[0] == "red" else migrations
        ),
        "Environment variables are configured": _worst(findings, ("settings",)),
        "SSL/TLS certificates are configured": _worst(findings, ("certificate", "served")),
        "Database backups are enabled": _worst(findings, ("backup target",)),
        "Monitoring and alerting are set up": _monitoring(hostvars, monitors),
        "Health check endpoints are working": _worst(findings, ("health",)),
        "Security scans pass": _ci(checkout, "make audit"),
        "Performance testing is complete": ("unchecked", "there is no load test in this version"),
        "Rollback plan is documented": (
            ("green", "RUNBOOK.md")
            if back
            else ("red", "RUNBOOK.md has no section on rolling back")
        ),
    }
    return [
        _finding(f"{number}. {name}", state, says, CHECKLIST)
        for number, (name, (state, says)) in enumerate(boxes.items(), 1)
    ]


def _default(roles: str, name: str) -> Any:
    path = Path(roles, name.partition("_")[0], "defaults", "main.yml")
    return (yaml.safe_load(path.read_text()) or {}).get(name) if path.exists() else None


def _number(variables: Mapping[str, Any], roles: str, name: str) -> int | None:
    """A setting of the inventory, or the role's default; None where the host computes it."""
    try:
        value = variables.get(name)
        return int(value if value not in (None, "") else _default(roles, name))
    except Exception:  # noqa: BLE001 - a template over facts may fail in any way
        return None


def preflight_budget(
    hostvars: Mapping[str, Any], groups: Mapping[str, list[str]], roles: str
) -> Finding:
    """What the pools of all app hosts may open, and a reserve, against what PostgreSQL accepts.

    Instances share their host's pool, so their number does not count here.
    """
    check = "connections"
    wanted = [(host, "pgbouncer_pool_size") for host in groups["app"]]
    database = groups["database"][0]
    wanted += [(database, f"postgresql_{name}_connections") for name in ("reserved", "max")]
    values = [_number(hostvars[host], roles, name) for host, name in wanted]
    for (host, name), value in zip(wanted, values, strict=True):
        if value is None:
            return _finding(check, "unchecked", f"{name} of {host} is computed there")
    *pools, reserve, most = (int(value or 0) for value in values)
    total = sum(pools) + reserve
    sum_ = f"pools of {' + '.join(map(str, pools))}, {reserve} in reserve: {total} of {most}"
    if total <= most:
        return _finding(check, "green", sum_)
    mend = "lower pgbouncer_pool_size or raise postgresql_max_connections"
    return _finding(check, "red", f"{sum_}: {mend}")


def preflight_deployment(
    hostvars: Mapping[str, Any], groups: Mapping[str, list[str]], roles: str
) -> list[Finding]:
    """What no single host tells. A wrong inventory does not get as far as this."""
    return [
        _finding("inventory", "green", f"{len(groups['all'])} hosts"),
        _finding("secrets", "green", "present and strong"),
        preflight_budget(hostvars, groups, roles),
        _backups(groups),
    ]


def _backups(groups: Mapping[str, list[str]]) -> Finding:
    """Whether there is a host that keeps them; that they arrive is what site.yml sees."""
    hosts = groups.get("backup") or []
    if len(hosts) == 1:
        return _finding("backup target", "green", f"{hosts[0]} keeps them")
    return _finding(
        "backup target", "red", f"the group backup has {len(hosts)} hosts: name one in hosts.yml"
    )


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The names that templates use."""
        return {
            "preflight_checkout": preflight_checkout,
            "preflight_checklist": preflight_checklist,
            "preflight_deployment": preflight_deployment,
        }
