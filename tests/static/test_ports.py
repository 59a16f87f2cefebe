"""The table of ports says something possible, and the role and the scan read it alike."""

from __future__ import annotations

import base64
import importlib.util
import itertools
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.support.matrix import of_project, open_ports, read_egress, read_links

FULL = {
    "edge": ["edge1", "edge2"],
    "app": ["app1", "app2"],
    "database": ["db1", "db2", "db3"],
    "cache": ["db1", "db2", "db3"],
    "backup": ["ops1"],
    "monitor": ["ops1"],
}
SMALL = {group: ["one"] for group in FULL}
NO_MONITOR = {**FULL, "backup": [], "monitor": []}


@pytest.fixture(scope="module")
def page(root: Path) -> dict[str, Any]:
    """The table as it is written."""
    text = (root / "playbooks/group_vars/all/ports.yml").read_text()
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@pytest.fixture(scope="module")
def firewall(root: Path) -> ModuleType:
    """The filters by which role base reads the table."""
    path = root / "roles/base/filter_plugins/base_firewall.py"
    spec = importlib.util.spec_from_file_location("base_firewall", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _written_links(root: Path) -> list[dict[str, Any]]:
    """The table as Ansible hands it to the filters, its references resolved."""
    return [
        {
            "name": link.name,
            "ports": sorted(link.ports),
            "to": link.target,
            "from": sorted(link.sources),
        }
        for link in of_project(root)[0]
    ]


def test_every_row_names_groups_that_an_inventory_has(root: Path) -> None:
    """A row for a group that nobody has would open nothing, and nobody would see why."""
    hosts = yaml.safe_load((root / "inventories/template/hosts.yml").read_text())
    known = {"all", *hosts}
    for link in of_project(root)[0]:
        assert link.target in known, link
        assert link.sources <= known | {"any"}, link


def test_only_the_public_doors_stand_open_to_anybody(root: Path) -> None:
    """SSH on all hosts, HTTP and HTTPS on the edge; all else is among our own hosts."""
    public = {link.name: link.target for link in of_project(root)[0] if "any" in link.sources}
    assert public == {"ssh": "all", "http": "edge", "https": "edge"}


def test_every_row_has_a_name_of_its_own_and_real_ports(root: Path) -> None:
    """Names become comments in the firewall, by which an operator finds the row again."""
    links = of_project(root)[0]
    assert len({link.name for link in links}) == len(links)
    for link in links:
        assert link.ports, link
        assert all(1 <= port <= 65535 for port in link.ports), link


def test_no_port_is_given_twice(root: Path, page: dict[str, Any]) -> None:
    """All may run on one host, so each needs a number of its own."""
    single = {
        name: port
        for name, port in page["gtsd_ports"].items()
        if not name.endswith(("_base", "_prefix"))
    }
    assert len(set(single.values())) == len(single)
    apis = next(link.ports for link in of_project(root)[0] if link.name == "api")
    instances = {int(f"{page['gtsd_ports']['instance_prefix']}{n + 1}") for n in range(len(apis))}
    assert not (apis | instances) & set(single.values())
    assert not apis & instances


_INSIDE = (
    *("pgbouncer", "database_door", "cache_door", "worker", "nginx_status", "etcd_metrics"),
    *("prometheus", "alertmanager", "node_exporter", "nginx_exporter", "blackbox_exporter"),
    *("redis_exporter", "postgresql_exporter"),
)


def test_ports_of_the_loopback_are_in_no_row(root: Path, page: dict[str, Any]) -> None:
    """A row would open to other hosts what is guarded by being on the loopback."""
    inside = {page["gtsd_ports"][name] for name in _INSIDE}
    assert not inside & frozenset().union(*(link.ports for link in of_project(root)[0]))


@pytest.mark.parametrize("groups", [FULL, SMALL, NO_MONITOR], ids=["full", "small", "no monitor"])
def test_the_rules_of_two_hosts_allow_what_the_table_says_of_them(
    root: Path, firewall: ModuleType, groups: dict[str, list[str]]
) -> None:
    """What one host may send and the other let in is the table's answer, for every pair."""
    links, egress = of_project(root)
    written = _written_links(root)
    hosts = sorted({host for names in groups.values() for host in names})
    every = {**groups, "all": hosts}

    def rules(host: str, side: str) -> list[dict[str, Any]]:
        own = [group for group, names in groups.items() if host in names]
        rows: list[dict[str, Any]] = firewall.base_rows(written, own, every)[side]
        return rows

    def passing(rows: list[dict[str, Any]], other: str | None) -> set[int]:
        """Ports of the rows that apply when that host is at the other end."""
        return {
            int(port)
            for row in rows
            if row["any"] or any(other in every[group] for group in row["groups"])
            for port in row["ports"].split(", ")
        }

    for target in hosts:
        incoming = rules(target, "incoming")
        assert passing(incoming, None) == open_ports(links, groups, target)
        for source in hosts:
            if source != target:
                sent = passing(rules(source, "outgoing"), target) | egress
                allowed = open_ports(links, groups, target, source, egress)
                assert passing(incoming, source) & sent == allowed, (source, target)


def test_the_table_answers_for_a_pair_of_hosts(root: Path) -> None:
    """A few answers, spelled out, so that the helper itself is held to something."""
    links, egress = of_project(root)
    assert egress == {53, 80, 443}
    assert open_ports(links, FULL, "edge1") == {22, 80, 443}
    assert open_ports(links, FULL, "db1") == {22}
    assert open_ports(links, FULL, "db1", "app1", egress) == {5432, 8008, 6379}
    assert open_ports(links, FULL, "db1", "db2", egress) >= {2379, 2380}
    assert open_ports(links, FULL, "db1", "edge1", egress) == frozenset()
    assert 2379 not in open_ports(links, FULL, "db1", "ops1", egress)
    assert open_ports(links, FULL, "app1", "edge1", egress) == set(range(8441, 8505))
    assert open_ports(links, FULL, "edge1", "db1", egress) == {80, 443}


def test_ranges_sums_and_protocols_are_read() -> None:
    """The forms that the table may use."""
    text = """
gtsd_ports: {base: 8440}
gtsd_links:
  - {name: x, to: app, from: [any],
     ports: ["{{ gtsd_ports.base + 1 }}-{{ gtsd_ports.base + 3 }}", 22]}
"""
    assert read_links(text)[0].ports == {22, 8441, 8442, 8443}
    rows = "base_egress: [{ports: [1], to: [any], protocol: udp}, {ports: [2], to: [10.0.0.0/8]}]"
    assert read_egress(rows) == frozenset()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"to": "apps"}, "leads to apps"),
        ({"from": ["edge", "caches"]}, "comes from caches"),
        ({"ports": ["70000"]}, "the port 70000"),
        ({"ports": ["20-10"]}, "the port 20-10"),
        ({"ports": ["http"]}, "the port http"),
        ({"protocol": "icmp"}, "the protocol icmp"),
    ],
)
def test_a_wrong_link_is_refused(
    firewall: ModuleType, change: dict[str, Any], problem: str
) -> None:
    """A slip in base_extra_links is named before a firewall is made of it."""
    right = {"name": "x", "ports": [9000], "to": "app", "from": ["edge", "203.0.113.0/24", "any"]}
    assert firewall.base_bad_links([right], FULL) == []
    found = firewall.base_bad_links([right | change], FULL)
    assert len(found) == 1
    assert problem in found[0]


def test_a_link_that_lacks_something_is_refused(firewall: ModuleType) -> None:
    """It says what is missing instead of ending in a template's error."""
    assert firewall.base_bad_links([{"name": "x", "ports": []}], FULL) == ["x lacks from, to"]


def _key(kind: str, *parts: bytes) -> str:
    fields = [kind.encode(), *parts]
    blob = b"".join(len(field).to_bytes(4, "big") + field for field in fields)
    return f"{kind} {base64.b64encode(blob).decode()} ada@laptop"


def test_keys_that_sshd_would_refuse_are_found(firewall: ModuleType) -> None:
    """Whoever comes by such a key would be locked out by the first run."""
    exponent = (65537).to_bytes(3, "big")
    good = [
        _key("ssh-ed25519", b"x" * 32),
        _key("ssh-rsa", exponent, b"\0" + b"\xff" * 384),
        _key("ecdsa-sha2-nistp256", b"nistp256", b"x" * 65),
    ]
    bad = [
        _key("ssh-rsa", exponent, b"\0" + b"\xff" * 256),
        _key("ssh-dss", b"x"),
        "ssh-ed25519",
        "ssh-ed25519 not-base64!",
        good[0].replace("ssh-ed25519", "ssh-rsa"),
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ]
    assert firewall.base_bad_keys(good, 3072) == []
    assert firewall.base_bad_keys(itertools.chain(good, bad), 3072) == bad


def test_networks_hold_addresses(firewall: ModuleType) -> None:
    """By which a firewall that would shut Ansible out is refused."""
    assert firewall.base_holds(["203.0.113.0/24", "2001:db8::/32"], "203.0.113.9")
    assert firewall.base_holds(["any"], "198.51.100.1")
    assert not firewall.base_holds(["203.0.113.0/24", "2001:db8::/32"], "198.51.100.1")
    assert firewall.base_not_networks(["any", "10.0.0.1", "10.0.0.300", "app"]) == [
        "10.0.0.300",
        "app",
    ]
    assert firewall.base_family(["10.0.0.1", "2001:db8::1"], 6) == ["2001:db8::1"]
