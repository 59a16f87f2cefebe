"""What verify.yml makes of the hosts' answers: green or red, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from roles.release.filter_plugins.release_diffs import settings_diffs
from roles.release.filter_plugins.release_findings import (
    certificate_finding,
    command_finding,
    findings_table,
    log_finding,
    program_finding,
    service_findings,
    traffic_finding,
)
from roles.release.filter_plugins.release_reasons import failure_reasons
from roles.release.library.nginx_traffic_info import read, spans, summary

WELL: dict[str, Any] = {
    "missing": [], "stale": [], "not_ready": [], "worker": "ready", "current": "1.4.0",
}  # fmt: skip


def states(findings: list[dict[str, str]]) -> dict[str, str]:
    """Each item's colour."""
    return {finding["item"]: finding["state"] for finding in findings}


def test_a_host_that_serves_is_green() -> None:
    """All three of its items."""
    found = service_findings(WELL, "app1", "1.4.0")
    assert states(found) == {"health": "green", "worker": "green", "version": "green"}


def test_files_that_were_changed_by_hand_are_red_and_named() -> None:
    """A rollback would go on with them."""
    assert program_finding({"edited": []}, "app1")["state"] == "green"
    found = program_finding({"edited": ["a.py", "b.py", "c.py", "d.py"]}, "app1")
    assert (found["state"], found["item"]) == ("red", "program")
    assert found["says"] == "4 files were changed by hand: a.py, b.py, c.py"


@pytest.mark.parametrize(
    ("change", "item", "says"),
    [
        ({"missing": [2]}, "health", "does not run: 2"),
        ({"stale": [1, 2]}, "health", "runs something older: 1, 2"),
        ({"not_ready": [1]}, "health", "is not ready: 1"),
        ({"worker": "not_ready"}, "worker", "not ready"),
        ({"current": "1.3.0"}, "version", "1.3.0 serves, the ledger says 1.4.0"),
    ],
)
def test_each_fault_is_red_and_says_what(change: dict[str, Any], item: str, says: str) -> None:
    """One at a time; the others stay green."""
    found = service_findings(WELL | change, "app1", "1.4.0")
    assert [f["item"] for f in found if f["state"] == "red"] == [item]
    assert [f["says"] for f in found if f["item"] == item] == [says]


def test_a_program_is_judged_by_its_status() -> None:
    """And cited by what it says, on either stream."""
    assert command_finding({"rc": 0, "stdout": "14 applied\n"}, "a", "x")["state"] == "green"
    failed = command_finding({"rc": 4, "stdout": "", "stderr": "changed\n"}, "a", "x")
    assert (failed["state"], failed["says"]) == ("red", "changed")


def test_errors_in_the_log_are_counted() -> None:
    """The newest is shown, in part."""
    assert log_finding({"stdout": "\n"}, "a", "12:00")["state"] == "green"
    found = log_finding({"stdout": "one\ntwo\n"}, "a", "12:00")
    assert (found["state"], found["says"]) == ("red", "2 since 12:00; the last: two")


def traffic(requests: int, failed: int, p95: float | None) -> dict[str, Any]:
    """Of one span."""
    return {"requests": requests, "failed": failed, "p95": p95}


@pytest.mark.parametrize(
    ("after", "before", "state"),
    [
        (traffic(1000, 0, 0.05), traffic(1000, 0, 0.04), "green"),
        (traffic(1000, 1, 0.05), traffic(1000, 0, 0.04), "green"),
        (traffic(1000, 2, 0.05), traffic(1000, 0, 0.04), "red"),
        (traffic(1000, 2, 0.05), traffic(1000, 3, 0.04), "green"),
        (traffic(1000, 0, 0.5), traffic(1000, 0, 0.2), "red"),
        (traffic(1000, 0, 0.09), traffic(1000, 0, 0.01), "green"),
        (traffic(10, 0, 2.0), traffic(0, 0, None), "green"),
        (traffic(10, 1, 0.1), traffic(0, 0, None), "red"),
        (traffic(0, 0, None), traffic(0, 0, None), "green"),
    ],
)
def test_requests_are_compared_with_the_hour_before(
    after: dict[str, Any], before: dict[str, Any], state: str
) -> None:
    """More failures than before and than one in a thousand, or twice as slow and noticeable."""
    assert traffic_finding({"after": after, "before": before}, "edge1")["state"] == state


def test_a_certificate_is_judged_by_its_days() -> None:
    """A week is left at least; none at all is red as well."""
    shown = {"not_after": "20270101000000Z"}
    assert certificate_finding(shown, "edge1", 30.0)["state"] == "green"
    assert certificate_finding(shown, "edge1", 6.0)["state"] == "red"
    refused = {"failed": True, "msg": "refused"}
    assert certificate_finding(refused, "edge1", 0.0)["says"] == "refused"


def test_red_comes_last_in_the_table() -> None:
    """Once among its kind and once more at the end."""
    found = service_findings(WELL | {"worker": "stale"}, "app1", "1.4.0")
    lines = findings_table(found, "Release 1.4.0").splitlines()
    assert lines[0] == "Release 1.4.0"
    assert lines[-2:] == ["1 red, 2 green", "  red    worker   app1  stale"]


def test_nginx_lines_are_split_at_the_moment(tmp_path: Path) -> None:
    """Over both files, older lines and broken ones left out; statuses from 500 on count."""

    def line(second: int, status: int, seconds: float) -> str:
        told = {"time": f"2026-11-28T12:00:{second:02}+00:00", "status": status}
        return json.dumps({**told, "seconds": seconds})

    log = tmp_path / "access.log"
    log.with_name("access.log.1").write_text(f"{line(1, 200, 9)}\n{line(20, 500, 0.2)}\n")
    log.write_text(f'{line(30, 404, 0.3)}\n{{"time": "2026\n{line(40, 503, 0.4)}\n')
    since = 1795867230.0
    after, before = spans(read(log), since, 15.0)
    assert after == {"requests": 2, "failed": 1, "p95": 0.4}
    assert before == {"requests": 1, "failed": 1, "p95": 0.2}
    assert summary([]) == {"requests": 0, "failed": 0, "p95": None}


def test_only_texts_that_change_are_shown() -> None:
    """A template's result has one difference or several; rights are not of interest here."""
    hosts = {
        "app1": {"__gtsd_settings_change": {"diff": {"before": "A=1", "after": "A=2"}}},
        "app2": {"__gtsd_settings_change": {"diff": [
            {"before": "A=1", "after": "A=1"},
            {"before": {"mode": "0600"}, "after": {"mode": "0644"}},
        ]}},
        "app3": {},
    }  # fmt: skip
    assert settings_diffs(hosts, list(hosts)) == [
        {"host": "app1", "title": "Settings of app1", "before": "A=1", "after": "A=2"}
    ]


def test_a_reason_is_what_the_failed_task_said() -> None:
    """Once for hosts that say the same; of a command its own last lines, and not that it failed."""
    pip = {"msg": "non-zero return code", "cmd": ["python", "pip", "install", "-r", "x"]}
    said = {
        "app1": {"ansible_failed_result": {"msg": "no space"}},
        "app2": {"ansible_failed_result": {"msg": "no space"}},
        "app3": {"ansible_failed_result": {**pip, "stderr": "a\nb\nc\nERROR: no such option"}},
        "app4": {},
    }
    reasons = failure_reasons(said, list(said))
    assert reasons == "no space python pip install …: b c ERROR: no such option"
    assert failure_reasons(said, ["app4"]) == "a host could not be reached."
