"""The examples of alarms on lines look for what role logs sends, and lead to what helps."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

LABELS = {"job", "host", "unit", "level"}
LEVELS = {"debug", "info", "warn", "error"}
# Streams of one host, at most.
STREAMS = 100
_SELECTOR = re.compile(r"\{([^{}]*)\}")
_MATCHER = re.compile(r'(\w+)\s*=\s*"([^"]*)"')


def units(root: Path) -> set[str]:
    """The values of the label unit."""
    variables = yaml.safe_load((root / "roles/logs/vars/main.yml").read_text())
    return {*variables["__logs_labels"], "kernel", "nginx-access", "other"}


def anchors(markdown: str) -> set[str]:
    """What a link into a page may lead to."""
    headings = re.findall(r"^#+ (.+)$", markdown, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def faults(rules: list[dict[str, Any]], known: set[str], pages: set[str]) -> list[str]:
    """What is wrong with the rules, a sentence each."""
    found = []
    for rule in rules:
        name, selectors = rule["alert"], _SELECTOR.findall(rule["expr"])
        if not selectors:
            found.append(f"{name} selects no stream")
        for selector in selectors:
            matchers = dict(_MATCHER.findall(selector))
            found += [f"{name}: no label {label}" for label in matchers.keys() - LABELS]
            if matchers.get("unit", "other") not in known:
                found.append(f"{name}: no unit {matchers['unit']}")
            if matchers.get("level", "info") not in LEVELS:
                found.append(f"{name}: no level {matchers['level']}")
        if rule["expr"].count("(") != rule["expr"].count(")"):
            found.append(f"{name}: brackets")
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        if page != "RUNBOOK.md" or anchor not in pages:
            found.append(f"{name}: no section {anchor}")
    return found


@pytest.fixture
def rules(root: Path) -> list[dict[str, Any]]:
    """All of them."""
    page = yaml.safe_load((root / "roles/logs/files/loki-rules.yml").read_text())
    return [rule for group in page["groups"] for rule in group["rules"]]


def test_every_example_looks_for_what_is_sent(root: Path, rules: list[dict[str, Any]]) -> None:
    """Labels, units and levels that there are, and a section of the runbook that is there."""
    assert len(rules) >= 5
    assert faults(rules, units(root), anchors((root / "RUNBOOK.md").read_text())) == []


def test_a_host_has_at_most_a_hundred_streams(root: Path) -> None:
    """However its lines fall: one stream for each unit and level."""
    assert len(units(root)) * len(LEVELS) <= STREAMS


def test_an_example_that_looks_for_nothing_is_found() -> None:
    """A label, a unit, a level and a section that nobody has."""
    bad = {
        "alert": "X",
        "expr": 'rate({pod="a", unit="nobody", level="loud"}[5m]',
        "annotations": {"runbook": "RUNBOOK.md#nowhere"},
    }
    assert faults([bad], {"kernel"}, {"somewhere"}) == [
        "X: no label pod",
        "X: no unit nobody",
        "X: no level loud",
        "X: brackets",
        "X: no section nowhere",
    ]
