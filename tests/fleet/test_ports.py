"""A scan from outside each host equals the table of ports, and every difference is seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fleet.machines.tested import TestedFleet
from tests.support.matrix import Link, of_project, open_ports

ROOT = Path(__file__).parents[2]
GROUPS = ("edge", "app", "database", "cache", "backup", "monitor")
# What listens here on the loopback only, what others often forget, and the ends.
OTHERS = {1, 21, 23, 25, 111, 3000, 3001, 5433, 6380, 6432, 8080, 8440, 8505, 9090, 9100, 65535}

pytestmark = [pytest.mark.shape("small", "full"), pytest.mark.both_releases]


@pytest.fixture(scope="module")
def table() -> tuple[list[Link], frozenset[int]]:
    """The rows of the rehearsal, and what every host may open to the world."""
    return of_project(ROOT, "rehearsal")


@pytest.fixture(scope="module")
def groups(fleet: TestedFleet) -> dict[str, list[str]]:
    """The hosts of each group."""
    return {group: list(fleet.names(group)) for group in GROUPS}


@pytest.fixture(scope="module")
def hosts(groups: dict[str, list[str]]) -> list[str]:
    """Every host that is in a group."""
    return sorted({host for names in groups.values() for host in names})


def _asked(links: list[Link], egress: frozenset[int]) -> str:
    """Every port of every row, and some that are in none."""
    every = OTHERS.union(egress, *(link.ports for link in links))
    return ",".join(str(port) for port in sorted(every))


@contextmanager
def _rule(fleet: TestedFleet, host: str, rule: str) -> Iterator[None]:
    """A rule before all others on a host, until the file is loaded again."""
    done = fleet.host(host).run(f"nft insert rule inet gtsd input {rule}")
    assert done.rc == 0, done.stderr
    try:
        yield
    finally:
        assert fleet.host(host).run("systemctl reload nftables").rc == 0


def test_a_stranger_finds_the_public_ports_of_each_host_and_no_other(
    fleet: TestedFleet,
    hosts: list[str],
    groups: dict[str, list[str]],
    table: tuple[list[Link], frozenset[int]],
) -> None:
    """All 65535 of one host of each kind, and of the others those that are in some row."""
    links, egress = table
    kinds = {tuple(g for g, names in groups.items() if host in names): host for host in hosts}

    def differs(host: str) -> str | None:
        ports = "1-65535" if host in kinds.values() else _asked(links, egress)
        found, wanted = fleet.answering(None, host, ports), open_ports(links, groups, host)
        return None if found == wanted else f"{host}: {sorted(found ^ wanted)}"

    # Two at once: each unanswered knock is remembered by this machine for two minutes.
    with ThreadPoolExecutor(2) as pool:
        found = [line for line in pool.map(differs, hosts) if line]
    assert not found, "\n".join(found)


@pytest.mark.shape("full")
def test_each_host_reaches_of_each_other_what_the_table_says(
    fleet: TestedFleet,
    hosts: list[str],
    groups: dict[str, list[str]],
    table: tuple[list[Link], frozenset[int]],
) -> None:
    """Every port of every row, and some that are in none, for every pair of hosts."""
    links, egress = table

    def differs(source: str) -> list[str]:
        found = []
        for target in hosts:
            if target == source:
                continue
            seen = fleet.answering(source, target, _asked(links, egress))
            wanted = open_ports(links, groups, target, source, egress)
            if seen != wanted:
                found.append(f"{source} to {target}: {sorted(seen ^ wanted)}")
        return found

    assert len(hosts) > 1
    with ThreadPoolExecutor(4) as pool:
        found = [line for lines in pool.map(differs, hosts) for line in lines]
    assert not found, "\n".join(found)


def test_a_port_that_is_open_beyond_the_table_is_found(
    fleet: TestedFleet, hosts: list[str]
) -> None:
    """Somebody's quick rule for a test: the scan names the port."""
    host = hosts[0]
    assert fleet.answering(None, host, "9999") == set()
    with _rule(fleet, host, "tcp dport 9999 accept"):
        assert fleet.answering(None, host, "9990-10010") == {9999}
    assert fleet.answering(None, host, "9999") == set()


def test_a_port_that_is_shut_against_the_table_is_found(
    fleet: TestedFleet, groups: dict[str, list[str]]
) -> None:
    """A rule that is gone shows as a port that no longer answers."""
    edge = groups["edge"][0]
    with _rule(fleet, edge, "tcp dport 443 drop"):
        assert fleet.answering(None, edge, "80,443") == {80}
    assert fleet.answering(None, edge, "80,443") == {80, 443}


def test_what_a_host_may_not_open_is_refused_at_once(
    fleet: TestedFleet, hosts: list[str], table: tuple[list[Link], frozenset[int]]
) -> None:
    """A program of ours that is led astray hears so, and gets nowhere, by IPv4 or IPv6."""
    _, egress = table
    assert 4444 not in egress
    for host in hosts:
        for address in ("198.51.100.7", "2001:db8::7"):
            done = fleet.host(host).run(f"timeout 5 bash -c '</dev/tcp/{address}/4444'")
            assert done.rc not in (0, 124), (host, address, done.stderr)


def test_both_directions_are_shut_unless_a_rule_opens_them(
    fleet: TestedFleet, hosts: list[str]
) -> None:
    """A row that is forgotten shuts something; it opens nothing."""
    for host in hosts:
        rules = json.loads(fleet.host(host).check_output("nft -j list table inet gtsd"))["nftables"]
        policies = {c["chain"]["name"]: c["chain"]["policy"] for c in rules if "chain" in c}
        assert policies == {"input": "drop", "forward": "drop", "output": "drop"}, host


def test_what_is_refused_is_counted_and_logged_within_bounds(
    fleet: TestedFleet, hosts: list[str]
) -> None:
    """An operator sees that somebody knocks; a flood does not fill the disk."""
    host = hosts[0]

    def refused() -> int:
        rules = json.loads(fleet.host(host).check_output("nft -j list chain inet gtsd input"))
        last = rules["nftables"][-1]["rule"]
        assert last["comment"] == "all else in"
        return int(last["expr"][0]["counter"]["packets"])

    before = refused()
    fleet.answering(None, host, "9000-9019")
    assert refused() >= before + 20
    text = fleet.host(host).check_output("nft list chain inet gtsd input")
    assert 'limit rate 10/minute burst 20 packets log prefix "gtsd refused in: "' in text
