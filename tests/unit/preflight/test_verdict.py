"""What the hosts' answers mean: green, red, or why it cannot be checked."""

from __future__ import annotations

from typing import Any

import pytest

from roles.preflight.filter_plugins.preflight_asks import preflight_asks
from roles.preflight.filter_plugins.preflight_verdict import preflight_verdict

DAY = 86400
NOW = 1_800_000_000
PORTS = {
    "http": 80, "https": 443, "api_base": 8440, "postgresql": 5432, "patroni": 8008,
    "etcd_client": 2379, "etcd_peer": 2380, "redis": 6379, "sentinel": 26379, "pgbouncer": 6432,
    "database_door": 5433, "cache_door": 6380, "worker": 3010, "instance_prefix": 300,
}  # fmt: skip
LIMITS = {
    "memory_mb": 900, "disk_mb": 2048, "skew": 5, "life_percent": 20, "ports": PORTS,
    "asked_from": NOW - 1, "asked_until": NOW + 1, "domain": "api.example.com",
    "public_addresses": ["192.0.2.11"],
}  # fmt: skip
GROUPS = {"all": ["vm1"], "edge": ["vm1"], "app": ["vm1"], "database": ["vm1"]}
DEPLOYED = ["/opt/gtsd/current/bin/gtsd"]


def answer(**changes: Any) -> dict[str, Any]:
    """What a healthy bare host says."""
    bare = {
        "now": NOW,
        "system": {"ID": "debian", "VERSION_ID": "12", "PRETTY_NAME": "Debian 12"},
        "memory_mb": 2000,
        "disk_free_mb": 9000,
        "listeners": {"22": ["sshd"]},
        "resolved": ["192.0.2.11"],
        **{name: [] for name in ("paths", "certificates", "links", "doors", "pages")},
        "commands": {},
    }
    return {"__preflight_answer": {"probe": {**bare, **changes}}}


def found(check: str, scope: str = "all", **changes: Any) -> tuple[str, str]:
    """State and text of one check of a host that answers so."""
    findings = preflight_verdict({"vm1": answer(**changes)}, ["vm1"], GROUPS, LIMITS, scope)
    (finding,) = (item for item in findings if item["check"] == check)
    return finding["state"], finding["says"]


def test_a_bare_host_is_ready_for_a_deployment() -> None:
    """What is not deployed yet is no fault before the deployment."""
    findings = preflight_verdict({"vm1": answer()}, ["vm1"], GROUPS, LIMITS, "deploy")
    assert {item["check"] for item in findings} == {
        *("reachable", "system", "memory", "disk", "clock", "ports"),
    }
    assert {item["state"] for item in findings} == {"green"}


def test_hosts_that_cannot_be_asked_are_named_among_the_others() -> None:
    """One that is away, one whose sudo refuses; the third is judged all the same."""
    hostvars = {
        "a": {"__preflight_answer": {"unreachable": True, "msg": "x ssh: No route to host"}},
        "b": {"__preflight_answer": {"failed": True, "msg": "Missing sudo password"}},
        "c": answer(),
    }
    findings = preflight_verdict(hostvars, ["a", "b", "c"], GROUPS, LIMITS, "deploy")
    assert [(f["host"], f["says"]) for f in findings if f["state"] == "red"] == [
        ("a", "cannot be reached: No route to host"),
        ("b", "cannot be asked: Missing sudo password"),
    ]
    assert {"host": "c", "check": "memory", "state": "green", "says": "2000 MB"} in findings


@pytest.mark.parametrize(
    ("check", "changes", "says"),
    [
        (
            "system",
            {"system": {"ID": "ubuntu", "VERSION_ID": "24.04", "PRETTY_NAME": "Ubuntu"}},
            "is Ubuntu; GTSD runs on Debian 12 and 13",
        ),
        ("memory", {"memory_mb": 512}, "has 512 MB, and needs 900 at least"),
        ("disk", {"disk_free_mb": 9}, "has 9 MB free in /var/lib, and needs 2048 at least"),
        ("clock", {"now": NOW - 61}, "is 60 s behind the controller; set it"),
        ("clock", {"now": NOW + 3601}, "is 3600 s ahead of the controller; set it"),
        ("ports", {"listeners": {"80": ["apache2"]}}, "80 (http) is in use by apache2: stop"),
        ("name", {"resolved": []}, "api.example.com has no address in DNS"),
        ("name", {"resolved": ["203.0.113.9"]}, "api.example.com leads to 203.0.113.9, which is"),
    ],
)
def test_each_fault_of_a_host_is_red(check: str, changes: dict[str, Any], says: str) -> None:
    """And the same check is green on a healthy host."""
    assert found(check)[0] == "green"
    state, text = found(check, **changes)
    assert state == "red"
    assert text.startswith(says)


def test_our_own_programs_may_have_our_ports() -> None:
    """systemd holds sockets for others; a port of a group this host is not in says nothing."""
    ours = {"443": ["nginx"], "5432": ["postgres"], "6432": ["pgbouncer", "systemd"]}
    assert found("ports", listeners=ours)[0] == "green"
    assert found("ports", listeners={"6379": ["memcached"]})[0] == "green"


def test_a_certificate_is_red_before_it_ends() -> None:
    """By share of life, so that lives of six days and of 90 have the same rule."""
    path = "/etc/gtsd/pki/redis/cert.pem"

    def certificate(left: float) -> tuple[str, str]:
        item = {"path": path, "from": NOW - (30 - left) * DAY, "until": NOW + left * DAY}
        return found("certificate redis", certificates=[{**item, "sha256": "ab"}])

    assert certificate(20) == ("green", "20 of 30 days left")
    assert certificate(5)[0] == "red"
    assert certificate(-1)[1].startswith("has ended: ansible-playbook playbooks/renew.yml")
    missing = {"path": path, "why": "there is none"}
    assert found("certificate redis", certificates=[missing])[0] == "unchecked"
    assert found("certificate redis", certificates=[missing], paths=DEPLOYED)[0] == "red"


def test_a_certificate_that_is_not_served_is_red() -> None:
    """The classic silent outage: renewed on disk, the old one served."""
    path = "/etc/gtsd/tls/fullchain.pem"
    disk = [{"path": path, "from": NOW - DAY, "until": NOW + 80 * DAY, "sha256": "ab"}]
    door = {"name": "api", "path": path, "port": 443}
    assert found("served api", certificates=disk, doors=[{**door, "sha256": "ab"}])[0] == "green"
    state, says = found("served api", certificates=disk, doors=[{**door, "sha256": "cd"}])
    assert (state, says.split(":")[0]) == (
        "red",
        f"port 443 serves another certificate than {path}",
    )
    state, says = found("served api", certificates=disk, doors=[{**door, "sha256": ""}])
    assert (state, says) == ("red", "port 443 serves no certificate")


def test_health_settings_and_migrations_are_the_services_own_words() -> None:
    """Before the deployment there is nothing to ask."""
    page = {"path": "/ready", "port": 3001}
    assert found("health", pages=[{**page, "status": 0, "text": "refused"}])[0] == "unchecked"
    sick = [{**page, "status": 503, "text": ""}]
    assert found("health", pages=sick, paths=DEPLOYED) == ("red", "/ready on 3001: 503")
    assert found("health", pages=[{**page, "status": 200}], paths=DEPLOYED)[0] == "green"
    refused = {"check": {"rc": 2, "text": "1 problem in the settings"}}
    assert found("settings", commands=refused) == ("red", "1 problem in the settings")
    assert found("settings", commands={"check": {"rc": -1, "text": ""}})[0] == "unchecked"
    plan = {"migrate": {"rc": 0, "text": "nothing to do"}}
    assert found("migrations", commands=plan) == ("green", "nothing to do")


@pytest.mark.parametrize(
    ("state", "listeners", "paths", "expected"),
    [
        ("open", {}, [], "green"),
        ("timeout", {}, [], "red"),
        ("refused", {}, [], "unchecked"),
        ("refused", {}, DEPLOYED, "red"),
        ("refused", {"5432": ["postgres"]}, [], "red"),
    ],
)
def test_a_port_that_is_not_reached_is_told(
    state: str, listeners: dict[str, Any], paths: list[str], expected: str
) -> None:
    """Refused is no fault where nothing is deployed yet; a timeout is a firewall, always."""
    link = {"host": "db", "port": 5432, "name": "postgresql", "state": state}
    hostvars = {"vm1": answer(links=[link]), "db": answer(listeners=listeners, paths=paths)}
    findings = preflight_verdict(hostvars, ["vm1", "db"], GROUPS, LIMITS, "all")
    (finding,) = (f for f in findings if f["check"] == "reaches")
    assert finding["state"] == expected


def test_a_host_is_asked_for_what_its_groups_do() -> None:
    """An app host for its instances and links, an edge for the public name; nothing before."""
    groups = {"all": ["e", "a", "d"], "edge": ["e"], "app": ["a"], "database": ["d"]}
    shared = {"gtsd_ports": PORTS, "gtsd_domain": "api.example.com", "gtsd_instances": 2}
    hostvars = {name: {**shared, "gtsd_address": f"10.0.0.{name}"} for name in groups["all"]}
    matrix: list[dict[str, Any]] = [
        {"name": "api", "ports": ["8441-8504"], "to": "app", "from": ["edge"]},
        {"name": "postgresql", "ports": [5432], "to": "database", "from": ["app", "database"]},
        {"name": "ssh", "ports": [22], "to": "all", "from": ["any"]},
    ]
    edge = preflight_asks("e", hostvars, groups, matrix, "all")
    assert edge["resolve"] == "api.example.com"
    assert [link["port"] for link in edge["links"]] == [8441, 8442]
    app = preflight_asks("a", hostvars, groups, matrix, "all")
    assert [page["port"] for page in app["pages"]] == [3001, 3002, 3010]
    assert [command["name"] for command in app["commands"]] == ["check", "migrate"]
    assert [(link["host"], link["port"]) for link in app["links"]] == [("d", 5432)]
    database = preflight_asks("d", hostvars, groups, matrix, "all")
    assert database["links"] == []
    assert {door["port"] for door in database["doors"]} == {2379, 8008, 5432}
    assert preflight_asks("e", hostvars, groups, matrix, "deploy") == {}
