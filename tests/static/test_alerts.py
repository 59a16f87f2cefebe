"""Each alert: told to people, led into the runbook, tried by promtool: silent, firing, over."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "roles/monitoring/files/rules").glob("*.yml"))
CASES: dict[str, dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "alerts.yml").read_text()
)
SEVERITIES = {"critical", "warning", "none"}
TOLD = {"summary", "description", "dashboard", "runbook"}
PHASES = (12, 24, 36)

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="make programs installs promtool, as root"
)


def _rules() -> list[dict[str, Any]]:
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for rule in _rules() if "alert" in rule}


def anchors(text: str) -> set[str]:
    """What can be linked to in a page, as GitHub names its headings."""
    titles = re.findall(r"(?m)^##+ (.+)$", text)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def faults(name: str, alert: dict[str, Any], known: set[str], dashboards: set[str]) -> list[str]:
    """What a person who is woken by it would miss."""
    told = alert.get("annotations", {})
    found = [f"no {part}" for part in sorted(TOLD - told.keys())]
    if not re.fullmatch(r"([A-Z][a-z]+)+", name):
        found.append("its name is not CamelCase")
    if alert.get("labels", {}).get("severity") not in SEVERITIES:
        found.append("no severity")
    if not str(told.get("summary", "")).endswith("."):
        found.append("its summary is no sentence")
    if told.get("runbook", "").removeprefix("@runbook@#") not in known:
        found.append(f"no section {told.get('runbook')}")
    if told.get("dashboard", "").removeprefix("@dashboards@/d/") not in dashboards:
        found.append(f"no dashboard {told.get('dashboard')}")
    return [f"{name}: {fault}" for fault in found]


def values(change: list[Any], phases: list[int], grows: bool, start: Any) -> list[str]:
    """A series, sample by sample; `stale` is what Prometheus writes when a series is gone."""
    first, ill, *rest = change
    each = [first, ill, rest[0] if rest else first]
    starts = start if isinstance(start, list) else [start, 0, 0]
    found: list[str] = []
    now = 0
    for phase, steps in enumerate(phases):
        now += starts[phase] - (starts[phase - 1] if phase and isinstance(start, list) else 0)
        for _ in range(steps):
            found.append(str(now if grows else each[phase]))
            now += each[phase] if grows else 0
    return found


def case_of(name: str, case: dict[str, Any]) -> dict[str, Any]:
    """A test group of promtool for one alert."""
    step, phases = case.get("step", 10), list(case.get("phases", PHASES))
    begins, ends = phases[0] * step, (phases[0] + phases[1]) * step
    over = sum(phases) * step - step
    series = [
        {"series": series, "values": " ".join(values(change, phases, grows, start))}
        for kind, grows in (("series", False), ("per_step", True))
        for series, change in case.get(kind, {}).items()
        for start in [case.get("start", {}).get(series, 0)]
    ]
    fires = begins + case["within"] if "within" in case else ends - step
    moments = [(fires, 1)] if case.get("always") else [(begins - step, 0), (fires, 1), (over, 0)]
    expr = f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) > bool 0 or vector(0)'
    return {
        "interval": f"{step}s",
        "input_series": series,
        "promql_expr_test": [
            {
                "expr": expr,
                "eval_time": f"{moment}s",
                "exp_samples": [{"labels": "{}", "value": fires}],
            }
            for moment, fires in moments
        ],
    }


def tried(folder: Path, name: str, condition: str = "") -> str:
    """What promtool says against an alert, with what it is made of; empty where all is well.

    ``condition`` is put in place of the alert's own.
    """
    alert = {**ALERTS[name]} | ({"expr": condition} if condition else {})
    records = {rule["record"]: rule for rule in _rules() if "record" in rule}
    named = {name for name in records if name in alert["expr"]}
    named |= {name for name in records for other in named if name in records[other]["expr"]}
    # In the order of the files, since some are made of others.
    made_of = [rule for record, rule in records.items() if record in named]
    group = {"name": "tried", "rules": [*made_of, alert]}
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [group]}))
    case = case_of(name, CASES[name])
    page = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": case["interval"],
        "tests": [case],
    }
    (folder / "tests.yml").write_text(yaml.safe_dump(page, width=100_000))
    command = ["promtool", "test", "rules", "tests.yml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_every_alert_helps_whom_it_wakes() -> None:
    """A severity, a sentence for people, and links to a section and a dashboard that exist."""
    known = anchors((ROOT / "RUNBOOK.md").read_text())
    dashboards = {path.stem for path in (ROOT / "roles/monitoring/files/dashboards").glob("*.json")}
    assert ALERTS
    found = [fault for n, a in ALERTS.items() for fault in faults(n, a, known, dashboards)]
    assert not found, "\n".join(found)


def test_an_alert_that_helps_nobody_is_found() -> None:
    """Each part that is missing is named; a heading becomes its link as GitHub has it."""
    assert anchors("## /ready answers 503\n### The cache's hosts\n") == {
        "ready-answers-503",
        "the-caches-hosts",
    }
    assert len(faults("api_down", {}, {"x"}, {"y"})) == 9
    whole = {
        "labels": {"severity": "none"},
        "annotations": {
            "summary": "It is.",
            "description": "So.",
            "runbook": "@runbook@#x",
            "dashboard": "@dashboards@/d/y",
        },
    }
    assert faults("ApiDown", whole, {"x"}, {"y"}) == []


def test_every_alert_has_a_case() -> None:
    """And no case is about an alert that is no more."""
    assert ALERTS.keys() == CASES.keys()


@needs_promtool
@pytest.mark.parametrize("name", sorted(CASES))
def test_an_alert_is_silent_fires_and_ends(name: str, tmp_path: Path) -> None:
    """By the time that its case says, on the series that the fault would make.

    The controls: it is found if it never fires, and if it never ends.
    """
    assert tried(tmp_path, name) == ""
    assert "exp: {} 1E+00" in tried(tmp_path, name, "vector(0) > 1")
    if not CASES[name].get("always"):
        assert "exp: {} 0E+00" in tried(tmp_path, name, "vector(1)")
