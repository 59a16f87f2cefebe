"""Preflight looks at a fleet that runs, and finds nothing red until something is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.machines.tested import TestedFleet

SHAPES = pytest.mark.shape("small", "full")


def _findings(fleet: TestedFleet, report: Path) -> tuple[Any, list[dict[str, str]]]:
    run = fleet.play("preflight.yml", "-e", f"preflight_report={report}")
    return run, json.loads(report.read_text())


@SHAPES
def test_a_fleet_that_serves_has_nothing_red(fleet: TestedFleet, tmp_path: Path) -> None:
    """Every host is asked, all ten boxes have a state, and nothing is changed by it."""
    run, findings = _findings(fleet, tmp_path / "findings.json")
    assert [f for f in findings if f["state"] == "red"] == []
    assert (run.rc, run.changed) == (0, 0)
    boxes = [f["check"] for f in findings if f["host"] == "checklist"]
    assert [int(box.partition(".")[0]) for box in boxes] == list(range(1, 11))
    for check in ("reachable", "clock", "ports"):
        green = {f["host"] for f in findings if f["check"] == check and f["state"] == "green"}
        assert green == set(fleet.names("all"))


def test_a_foreign_program_on_our_port_and_a_dead_instance_are_red(
    fleet: TestedFleet, tmp_path: Path
) -> None:
    """Two faults at once are two lines of one report."""
    name = fleet.names("app")[0]
    host = fleet.host(name)
    foreign = "systemd-run --unit foreign python3 -m http.server --bind 127.0.0.9 26379"
    host.check_output(foreign)
    host.check_output("systemctl stop haproxy")
    try:
        run, findings = _findings(fleet, tmp_path / "findings.json")
    finally:
        host.check_output("systemctl stop foreign")
        host.check_output("systemctl start haproxy")
    assert run.rc != 0
    red = {f["check"] for f in findings if f["state"] == "red" and f["host"] == name}
    assert {"ports", "served haproxy"} <= red


def test_what_templates_need_is_loaded_once(
    fleet: TestedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the controller, whose every worker, one a task and host, would load it anew."""
    monkeypatch.setenv("ANSIBLE_DEBUG", "true")
    loads = r"^ *(\d+) [\d.]+: Loading (?:Filter|Test)Module '(\w+)'"
    loaded = re.findall(loads, fleet.play("preflight.yml").stdout, re.MULTILINE)
    assert {"core", "preflight_verdict"} <= {name for _, name in loaded}
    assert len({process for process, _ in loaded}) == 1
