"""The monitor on real hosts: all is asked, every rule has its series, nobody else gets in."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from tests.fleet.machines.tested import TestedFleet
from tests.fleet.watching import ask, keep_asking, names_in, query, unknown
from tests.support.status_page import queries

pytestmark = [pytest.mark.shape("small", "full"), pytest.mark.both_releases]

ROLE = Path(__file__).parents[2] / "roles/monitoring/files"
# What only a second database host has.
OF_STANDBYS = {
    "gtsd_pg_standby_streaming",
    "gtsd_pg_standby_lag_seconds",
    "gtsd_pg_standby_lag_bytes",
}
# What only hosts have that ship their logs (logs_loki_url), and by what they are known.
OF_SHIPPED_LOGS = {"gtsd_logs_last_sent_timestamp_seconds"}
SHIPPING = "/etc/gtsd/logs/syslog-ng.conf"
# What Grafana puts in place of its own variables.
SHOWN = {"$__rate_interval": "2m"}
DOOR = 8506


def rules() -> dict[str, str]:
    """Every rule's expression, by its name."""
    pages = [yaml.safe_load(path.read_text()) for path in sorted((ROLE / "rules").glob("*.yml"))]
    every = [rule for page in pages for group in page["groups"] for rule in group["rules"]]
    return {rule.get("alert") or rule["record"]: rule["expr"] for rule in every}


def boards() -> dict[str, Any]:
    """The dashboards, by name."""
    paths = sorted((ROLE / "dashboards").glob("*.json"))
    return {path.stem: json.loads(path.read_text()) for path in paths}


def panels() -> dict[str, str]:
    """Every panel's queries as Grafana would ask them, by dashboard and title."""
    found = {}
    for name, board in boards().items():
        for panel in board["panels"]:
            for number, target in enumerate(panel.get("targets", [])):
                expression = target["expr"]
                for variable, value in SHOWN.items():
                    expression = expression.replace(variable, value)
                found[f"{name}/{panel['title']}/{number}"] = expression
    return found


def marks() -> dict[str, str]:
    """What the dashboards mark on all their panels, by dashboard and name."""
    return {
        f"{name}/{note['name']}": note["expr"]
        for name, board in boards().items()
        for note in board["annotations"]["list"]
    }


def not_here(fleet: TestedFleet) -> set[str]:
    """The series that this fleet has no reason to have."""
    standbys = set() if fleet.shape == "full" else OF_STANDBYS
    ships = fleet.host(fleet.names("monitor")[0]).file(SHIPPING).exists
    return standbys | (set() if ships else OF_SHIPPED_LOGS)


def empty(fleet: TestedFleet, queries: dict[str, str]) -> dict[str, str]:
    """Those of the queries to which Prometheus has no number to answer."""
    return {
        name: expression
        for name, expression in queries.items()
        if all(sample["value"][1] == "NaN" for sample in query(fleet, expression))
    }


@pytest.fixture(scope="module")
def asked(fleet: TestedFleet) -> None:
    """Somebody asks for something."""
    keep_asking(fleet)


@pytest.fixture(scope="module")
def drilled(fleet: TestedFleet) -> None:
    """The night's drill may not have come yet, or a test's was made to fail, which tells less."""
    host = fleet.host(fleet.names("backup")[0])
    if not query(fleet, "gtsd_restore_rto_seconds"):
        host.check_output("systemctl start gtsd-drill")
        _until_told(fleet, "gtsd_restore_rto_seconds")


def _until_told(fleet: TestedFleet, expression: str, seconds: int = 60) -> None:
    for _ in range(seconds):
        if query(fleet, expression):
            return
        time.sleep(1)
    raise AssertionError(f"nothing tells of {expression}")


def test_every_target_answers(fleet: TestedFleet) -> None:
    """All that the inventory names is asked, over TLS by its own name, and answers."""
    # One that a test before has restarted is asked again within 15 s.
    deadline = time.monotonic() + 60
    while True:
        active: list[dict[str, Any]] = ask(fleet, "targets")["activeTargets"]
        ill = [f"{t['labels']}: {t['lastError']}" for t in active if t["health"] != "up"]
        well = [r["value"][1] for r in query(fleet, "min(probe_success)")] == ["1"]
        if well and not ill:
            break
        assert time.monotonic() < deadline, "\n".join(ill)
        time.sleep(1)
    jobs = {target["labels"]["job"] for target in active}
    assert jobs >= {
        *("api", "worker", "node", "postgresql", "patroni", "etcd", "redis", "nginx"),
        *("public", "ready", "prometheus", "alertmanager"),
    }
    assert {t["labels"]["instance"] for t in active if t["labels"]["job"] == "node"} == set(
        fleet.names()
    )


@pytest.mark.usefixtures("asked", "drilled")
def test_every_rule_is_on_series_that_exist(fleet: TestedFleet) -> None:
    """No alert waits for what nobody exports; the control is a rule that does."""
    _until_told(fleet, "gtsd_restore_ok")
    missing, elsewhere = unknown(fleet, rules()), not_here(fleet)
    assert {name: rest for name, found in missing.items() if (rest := found - elsewhere)} == {}
    assert unknown(fleet, {"Made": "rate(gtsd_made_up_total[5m]) > 1"}) == {
        "Made": {"gtsd_made_up_total"}
    }


def test_every_rule_is_computed(fleet: TestedFleet) -> None:
    """Prometheus has all rules, and none of them fails."""
    groups = ask(fleet, "rules")["groups"]
    loaded = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert loaded.keys() == rules().keys()
    assert [name for name, rule in loaded.items() if rule["health"] != "ok"] == []


def test_names_are_found_in_expressions() -> None:
    """Series and not functions, labels, durations or texts."""
    text = (
        'sum by (x) (rate(a_total{b="c"}[5m])) / on (d) e:f:rate5m > bool 1e3 and absent(g{h!="i"})'
    )
    assert names_in(text) == {"a_total", "e:f:rate5m", "g"}


def _knock(fleet: TestedFleet, leaf: str) -> str:
    """What the door says to a client of the monitor's host with that certificate."""
    host = fleet.host(fleet.names("monitor")[0])
    shown = f"-cert /etc/gtsd/pki/{leaf}/cert.pem -key /etc/gtsd/pki/{leaf}/key.pem" if leaf else ""
    request = "GET /proxy?module=node HTTP/1.0\\r\\n\\r\\n"
    target = fleet.address(fleet.names("database")[0])
    return str(
        host.run(
            f"(printf '{request}'; sleep 2) | timeout 10 openssl s_client -quiet -verify_quiet"
            f" -CAfile /etc/gtsd/pki/ca.pem {shown} -connect {target}:{DOOR}"
        ).stdout
    )


def test_the_door_opens_for_the_monitor_alone(fleet: TestedFleet) -> None:
    """A certificate of our CA is not enough; the monitor's own is the control."""
    assert "node_load1" in _knock(fleet, "prometheus")
    for leaf in ("exporters", "backup", ""):
        assert "HTTP/1" not in _knock(fleet, leaf), leaf


def test_nobody_reads_the_passwords(fleet: TestedFleet) -> None:
    """Neither in files nor in what is shown of processes and units."""
    name = fleet.names("database")[0]
    host = fleet.host(name)
    for secret in ("postgresql_monitor_password", "redis_monitor_password"):
        value = fleet.secrets[secret]
        shown = host.check_output("ps auxww; systemctl show 'prometheus-*'")
        assert value not in shown, secret
        found = host.run(
            f"find /etc/gtsd/exporters -type f -perm /077 -exec grep -l '{value}' {{}} +"
        )
        assert found.stdout == "", secret


def test_what_a_query_was_about_is_told_and_its_values_are_not(fleet: TestedFleet) -> None:
    """The statements that take most time are metrics; constants in them are numbers of places."""
    _until_told(fleet, "gtsd_pg_statement_seconds")
    told = [r["metric"]["statement"] for r in query(fleet, "gtsd_pg_statement_seconds")]
    assert told
    assert not [text for text in told if "'" in text and "$" not in text and "@" in text]


@pytest.mark.usefixtures("asked", "drilled")
def test_every_panel_shows_something(fleet: TestedFleet) -> None:
    """Each query of each dashboard has data; the controls are queries that have none."""
    elsewhere = not_here(fleet)
    left = {name: text for name, text in panels().items() if not names_in(text) & elsewhere}
    assert len(left) > len(panels()) * 0.9
    deadline = time.monotonic() + 90
    while left := empty(fleet, left):
        assert time.monotonic() < deadline, left
        # Shares of requests are numbers while there are some.
        fleet.outside_curl("/openapi.json")
        time.sleep(1)
    controls = {"nobody exports it": "gtsd_made_up_total", "no number": "vector(0) / 0"}
    assert empty(fleet, {**controls, "a number": "vector(0)"}) == controls


@pytest.mark.usefixtures("asked", "drilled")
def test_the_status_page_asks_for_what_there_is(fleet: TestedFleet) -> None:
    """Its queries, and the dashboards' marks, are on series that somebody exports."""
    asked = marks() | queries()
    assert {"gtsd-api/Releases", "now/up"} <= asked.keys()
    missing = {name: found - not_here(fleet) for name, found in unknown(fleet, asked).items()}
    assert {name: found for name, found in missing.items() if found} == {}


def test_releases_are_marked(fleet: TestedFleet) -> None:
    """The dashboards' marks: one where an instance began to serve; the control never did."""
    expression = marks()["gtsd-api/Releases"]
    now = int(time.time())
    span = f"start={now - 86400}&end={now}&step=60"

    def marked(text: str) -> list[dict[str, Any]]:
        answer = ask(fleet, f"query_range?query={quote(text)}&{span}")
        found: list[dict[str, Any]] = answer["result"]
        return found

    assert {mark["metric"]["job"] for mark in marked(expression)} == {"api"}
    assert all(mark["metric"]["version"] for mark in marked(expression))
    assert marked(expression.replace('job="api"', 'job="made-up"')) == []
