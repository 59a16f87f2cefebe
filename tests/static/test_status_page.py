"""The status page: its questions are PromQL, it knows every alert, and it needs nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.status_page import FILES, PAGE, queries, render

RULES = FILES.parent / "rules"
LINES = 300
# What would ask another host, or make markup of text.
FOREIGN = re.compile(
    r"https?://(?!www\.w3\.org/2000/svg)\w|\bimport\b|url\(|innerHTML|outerHTML|insertAdjacent"
    r"|document\.write|\beval\b|new Function|srcdoc"
    r"|<(?:link|script|img)[^>]*\b(?:src|href)=\"(?!data:)"
)

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="make programs installs promtool, as root"
)


def refused(folder: Path, asked: dict[str, str]) -> str:
    """What promtool says against questions, each taken as that of a rule."""
    rules = [{"record": f"asked:{n}", "expr": query} for n, query in enumerate(asked.values())]
    file = folder / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    command = ["promtool", "check", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def unplaced(parts: list[dict[str, Any]], alerts: set[str]) -> list[str]:
    """Alerts that no part or more than one is marked by, and those that do not exist."""
    named = [alert for part in parts for alert in part["alerts"]]
    found = [f"{alert} is in {named.count(alert)} parts" for alert in sorted(alerts)
             if named.count(alert) != 1]  # fmt: skip
    return found + [f"no alert {alert}" for alert in named if alert not in alerts]


def test_every_alert_marks_its_part() -> None:
    """Its state is that of its alerts, too; the controls are one too few and one too many."""
    pages = [yaml.safe_load(path.read_text()) for path in RULES.glob("*.yml")]
    rules = [rule for page in pages for group in page["groups"] for rule in group["rules"]]
    alerts = {
        rule["alert"]
        for rule in rules
        if rule.get("labels", {}).get("severity") in {"critical", "warning"}
    }
    assert alerts
    assert unplaced(PAGE["parts"], alerts) == []
    assert unplaced([{"alerts": ["A", "X"]}], {"A", "B"}) == ["B is in 0 parts", "no alert X"]


@needs_promtool
def test_every_question_is_promql(tmp_path: Path) -> None:
    """As promtool reads it; the control is one that is cut off."""
    assert len(queries()) > 20
    assert refused(tmp_path, queries()) == ""
    assert "parse error" in refused(tmp_path, {"cut": "sum(rate(a_total[2m])"})


def test_the_page_needs_nothing_else() -> None:
    """It asks Prometheus alone, and what it reads becomes text; the controls would not."""
    assert FOREIGN.findall(render()) == []
    for control in ("x.innerHTML = y", '<script src="/x.js">', "fetch('https://cdn.example')"):
        assert FOREIGN.search(control), control


def test_prometheus_finds_nothing_to_expand() -> None:
    """It reads the page as a template of Go, whose braces would be an error or worse."""
    assert render().lstrip().startswith("<!doctype html>")
    assert "{{" not in render()
    # Neither does a domain bring markup along.
    assert "<b>" not in render('"<b>').partition("const PAGE_DOMAIN")[0]


def test_its_files_are_short() -> None:
    """As every module; an empty folder would be no proof."""
    lengths = {path.name: len(path.read_text().splitlines()) for path in FILES.iterdir()}
    assert {"main.js", "plots.js", "page.css"} <= lengths.keys()
    assert {name: lines for name, lines in lengths.items() if lines > LINES} == {}
