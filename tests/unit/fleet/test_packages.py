"""What hosts of a rehearsal reach is what this machine's package settings name."""

from __future__ import annotations

import os
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from tests.fleet.machines import network
from tests.fleet.machines.commands import Refused
from tests.fleet.machines.image import thin_out
from tests.fleet.machines.packages import (
    Mirrors,
    carried_settings,
    destinations,
    nameservers,
    parse_mirrors,
)
from tests.fleet.machines.shapes import SHAPES, Plan

_PLAN = Plan("x", SHAPES["small"], "bookworm", IPv4Network("10.98.7.0/24"))


def test_mirrors_are_told_from_other_archives() -> None:
    """Only Debian's own are of use to a bare host."""
    targets = (
        "https://packages.example.com/apt Example Example\n"
        "http://mirror.example.org/debian/ Debian Debian\n"
        "http://mirror.example.org/debian/ Debian Debian\n"
        "http://mirror.example.org/security/ Debian Debian-Security\n"
        "https://half.example.org\n"
    )
    assert parse_mirrors(targets) == Mirrors(
        "http://mirror.example.org/debian/", "http://mirror.example.org/security/"
    )
    with pytest.raises(Refused):
        parse_mirrors("https://packages.example.com/apt Example Example\n")


def test_sources_name_the_release_that_is_wanted() -> None:
    """The mirrors of a machine with Debian 12 serve hosts with Debian 13."""
    sources = Mirrors("http://m/debian", "http://m/security").sources("trixie")
    assert "Suites: trixie trixie-updates\n" in sources
    assert "Suites: trixie-security\n" in sources
    assert "security" not in Mirrors("http://m/debian", None).sources("trixie")


def test_only_settings_that_lead_to_the_mirror_are_carried() -> None:
    """A proxy of the environment counts where apt has none of its own."""
    dump = (
        'Acquire::http::Proxy "http://proxy:3128";\n'
        'Acquire::Check-Date "false";\n'
        'APT::Periodic::Unattended-Upgrade "1";\n'
        'Acquire::http::Proxy-Auto-Detect "/bin/x";\n'
    )
    environment = {"http_proxy": "http://else:1", "https_proxy": "http://proxy:3129"}
    assert carried_settings(dump, environment) == [
        'Acquire::http::Proxy "http://proxy:3128";',
        'Acquire::Check-Date "false";',
        'Acquire::https::Proxy "http://proxy:3129";',
    ]


def test_kept_packages_do_not_grow_for_ever(tmp_path: Path) -> None:
    """The two newest versions stay, by the time when the archive got them."""
    for age, name in enumerate(["a_3_all.deb", "a_2_all.deb", "a_1_all.deb", "b_1_amd64.deb"]):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    thin_out(tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["a_2_all.deb", "a_3_all.deb", "b_1_amd64.deb"]


def test_destinations_keep_their_ports() -> None:
    """A proxy seldom listens where web servers do."""
    urls = ["http://a/x", "https://b", "http://c:3128", "file:/nowhere"]
    assert destinations(urls) == {("a", 80), ("b", 443), ("c", 3128)}


def test_a_resolver_on_the_loopback_is_of_no_use_to_others() -> None:
    """Hosts have a loopback of their own."""
    text = "nameserver 127.0.0.1\nsearch x\nnameserver 192.0.2.53\n# nameserver 192.0.2.54\n"
    assert nameservers(text) == ["192.0.2.53"]


def test_rules_end_with_a_refusal() -> None:
    """Nothing but resolvers, archives and the other hosts is reached; no rule touches others."""
    rules = network.rules(_PLAN, ["192.0.2.53"], {("192.0.2.80", 80), ("192.0.2.81", 3128)})
    accepted = [line.strip() for line in rules.splitlines() if line.endswith("accept")]
    assert accepted == [
        'iifname "gr-x" oifname "gr-x" accept',
        'iifname "gr-x" ip daddr { 192.0.2.53 } udp dport 53 accept',
        'iifname "gr-x" ip daddr { 192.0.2.53 } tcp dport 53 accept',
        'iifname "gr-x" ip daddr . tcp dport { 192.0.2.80 . 80, 192.0.2.81 . 3128 } accept',
    ]
    forward = rules.split("chain translate")[0].strip().splitlines()
    assert forward[-2].strip() == 'iifname "gr-x" reject'
    assert rules.startswith("table ip gtsd_x\ndelete table ip gtsd_x\n")
