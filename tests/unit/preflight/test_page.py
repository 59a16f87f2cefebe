"""The ten boxes of the Deployment Checklist, the budget of connections, the page of findings."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from roles.preflight.filter_plugins import preflight_checklist as checklist
from roles.preflight.filter_plugins.preflight_table import preflight_table

COMMIT = "c" * 40
GREEN = f"{COMMIT}\nok        20 s  make lint\nok       100 s  make test\nok   9 s  make audit\n"
BOXES = [
    "1. All tests pass locally and in CI",
    "2. Database migrations are reviewed and tested",
    "3. Environment variables are configured",
    "4. SSL/TLS certificates are configured",
    "5. Database backups are enabled",
    "6. Monitoring and alerting are set up",
    "7. Health check endpoints are working",
    "8. Security scans pass",
    "9. Performance testing is complete",
    "10. Rollback plan is documented",
]


def finding(check: str, state: str, says: str = "") -> dict[str, str]:
    return {"host": "vm1", "check": check, "state": state, "says": says}


def boxes(findings: list[dict[str, str]], **checkout: str) -> dict[str, dict[str, str]]:
    """The boxes by their number."""
    told = {"commit": COMMIT, "verdict": GREEN, "runbook": "# R\n\n## Roll back\n", **checkout}
    found = checklist.preflight_checklist(findings, told, {"vm1": {}}, ["vm1"])
    return {item["check"].partition(".")[0]: item for item in found}


def test_the_boxes_are_those_of_the_guide_in_its_order() -> None:
    """Each has a state, also where there is nothing to look at yet."""
    found = list(boxes([]).values())
    assert [item["check"] for item in found] == BOXES
    assert {item["state"] for item in found} <= {"green", "red", "unchecked"}
    assert all(item["says"] for item in found if item["state"] != "green")


def test_boxes_follow_the_findings_of_the_hosts() -> None:
    """The worst of what belongs to a box decides, and is named."""
    findings = [
        finding("settings", "green"),
        finding("certificate redis", "green"),
        finding("served api", "red", "port 443 serves no certificate"),
        finding("health", "unchecked", "cannot be checked, because nothing is deployed here yet"),
    ]
    found = boxes(findings)
    assert found["3"]["state"] == "green"
    assert found["4"]["state"] == "red"
    assert found["4"]["says"] == "vm1, served api: port 443 serves no certificate"
    assert found["7"]["says"] == (
        "cannot be checked, because vm1, health: nothing is deployed here yet"
    )


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (GREEN, "green"),
        ("", "unchecked"),
        (GREEN.replace("c", "d", 1), "unchecked"),
        (GREEN.replace("\n", "-dirty\n", 1), "unchecked"),
        (GREEN.replace("ok       100 s  make test", "FAILED   100 s  make test"), "red"),
    ],
)
def test_only_a_run_of_ci_for_this_very_checkout_counts(verdict: str, state: str) -> None:
    """A verdict about another commit, or about uncommitted files, proves nothing of this one."""
    assert boxes([], verdict=verdict)["1"]["state"] == state


def test_migrations_need_the_linter_and_a_plan() -> None:
    """Red from either is red; a plan alone does not show that they were read."""
    waiting = [finding("migrations", "green")]
    assert boxes(waiting)["2"]["state"] == "green"
    assert boxes(waiting, verdict="")["2"]["state"] == "unchecked"
    assert boxes([finding("migrations", "red", "drift")], verdict="")["2"]["state"] == "red"
    assert boxes([], runbook="# R\n")["10"]["state"] == "red"


def test_the_checkout_tells_its_commit_and_the_last_verdict(tmp_path: Path) -> None:
    """Uncommitted changes are part of the name; without git there is no name."""
    assert checklist.preflight_checkout(str(tmp_path))["commit"] == ""
    person = ["-c", "user.name=ann", "-c", "user.email=ann@example.org"]
    (tmp_path / "RUNBOOK.md").write_text("one\n")
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "ci-verdict").write_text("x\n")
    for words in (["init", "-q"], ["add", "RUNBOOK.md"], [*person, "commit", "-q", "-m", "One"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    clean = checklist.preflight_checkout(str(tmp_path))
    assert len(clean["commit"]) == 40
    assert (clean["verdict"], clean["runbook"]) == ("x\n", "one\n")
    (tmp_path / "RUNBOOK.md").write_text("two\n")
    assert checklist.preflight_checkout(str(tmp_path))["commit"] == f"{clean['commit']}-dirty"


@pytest.mark.parametrize(
    ("most", "state"), [(65, "green"), (64, "red"), ("{{ computed }}", "unchecked")]
)
def test_the_budget_counts_every_app_host_and_the_reserve(
    tmp_path: Path, most: Any, state: str
) -> None:
    """hosts × pool + reserve ≤ max_connections; the inventory is stronger than a role's default."""
    for name, text in (
        ("postgresql", "postgresql_max_connections: 9\npostgresql_reserved_connections: 25\n"),
        ("pgbouncer", "pgbouncer_pool_size: 20\n"),
    ):
        defaults = tmp_path / name / "defaults" / "main.yml"
        defaults.parent.mkdir(parents=True)
        defaults.write_text(text)
    hostvars = {
        "app1": {},
        "app2": {"pgbouncer_pool_size": ""},
        "db1": {"postgresql_max_connections": most},
    }
    groups = {"app": ["app1", "app2"], "database": ["db1"]}
    found = checklist.preflight_budget(hostvars, groups, str(tmp_path))
    assert found["state"] == state
    if state != "unchecked":
        assert found["says"].startswith(f"pools of 20 + 20, 25 in reserve: 65 of {most}")


def test_the_table_shows_red_first_and_joins_what_has_one_reason() -> None:
    """At three in the morning: what is wrong, by host, then why the rest is not known."""
    because = "cannot be checked, because nothing is deployed here yet"
    page = preflight_table(
        [
            finding("memory", "green", "2000 MB"),
            finding("health", "unchecked", because),
            finding("certificate redis", "unchecked", because),
            finding("ports", "red", "80 (http) is in use by apache2"),
            {**finding("1. Tests", "green"), "host": "checklist"},
        ],
        "Preflight",
    )
    assert page.splitlines() == [
        "Preflight",
        "",
        "vm1",
        "  RED   ports                      80 (http) is in use by apache2",
        f"  -     health, certificate redis  {because}",
        "  ok    memory (2000 MB)",
        "",
        "checklist",
        "  ok    1. Tests",
        "",
        "1 red, 2 green, 2 cannot be checked",
    ]
