"""The inventory of a rehearsal is one of production's kind."""

from __future__ import annotations

import os
import subprocess
import sys
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml

from tests.fleet.machines import inventory, prerequisites
from tests.fleet.machines.identity import SECRETS
from tests.fleet.machines.shapes import SHAPES, Plan

_INVENTORIES = Path(__file__).parents[3] / "inventories"


def _keys(environment: str) -> set[str]:
    page = _INVENTORIES / environment / "group_vars" / "all" / "main.yml"
    return set(yaml.safe_load(page.read_text()))


def test_a_rehearsal_answers_all_that_production_is_asked() -> None:
    """What it says beyond that makes it small, or keeps it apart."""
    assert _keys("production") <= _keys("rehearsal")
    assert _keys("production") == _keys("staging")


def test_every_secret_of_a_vault_is_made() -> None:
    """No role has a default for one, so a missing one would stop the rehearsal."""
    page = _INVENTORIES.parent / "playbooks" / "group_vars" / "all" / "secrets.yml"
    assert set(yaml.safe_load(page.read_text())["gtsd_secrets"]) == set(SECRETS)


@pytest.mark.parametrize("shape", ["small", "full"])
def test_hosts_keys_and_secrets_are_told(shape: str) -> None:
    """Host keys are checked as in production."""
    plan = Plan("x", SHAPES[shape], "bookworm", IPv4Network("10.98.7.0/24"))
    public = inventory.Public("ssh-ed25519 AAAA", "ssh-ed25519 BBBB")
    told = inventory.contents(plan, public, {"gtsd_jwt_secret": "s"})
    everybody = told["all"]
    assert isinstance(everybody, dict)
    assert everybody["vars"]["gtsd_jwt_secret"] == "s"
    assert everybody["vars"]["rehearsal_release_signer"] == "ssh-ed25519 BBBB"
    assert "StrictHostKeyChecking=yes" in everybody["vars"]["ansible_ssh_common_args"]
    hosts = told["_meta"]["hostvars"]  # type: ignore[index] # a dictionary of its own
    assert hosts[plan.shape.hosts[0]] == {"ansible_host": "10.98.7.11"}


def test_without_a_rehearsal_the_inventory_says_so() -> None:
    """One line that says what to do, not a traceback."""
    result = subprocess.run(
        [sys.executable, str(_INVENTORIES / "rehearsal" / "hosts.py"), "--list"],
        env={**os.environ, "GTSD_REHEARSAL": "nosuchfleet"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "No rehearsal named nosuchfleet runs here; start it: make rehearsal\n"


def test_a_firewall_that_would_be_in_the_way_is_named() -> None:
    """Rules of ours cannot open what another table drops."""
    open_one = {"family": "ip", "table": "gtsd_x", "name": "out", "hook": "forward"}
    closed = {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward"}
    assert prerequisites.closed_chain([{**open_one, "policy": "accept"}]) is None
    assert "chain ip filter FORWARD" in (
        prerequisites.closed_chain([open_one, {**closed, "policy": "drop"}]) or ""
    )
    assert prerequisites.closed_chain([{**closed, "hook": "output", "policy": "drop"}]) is None


def test_a_missing_program_is_named_by_its_package() -> None:
    """Each package once, and only those whose program is not there."""
    gone = {"ip", "nft"}
    found = prerequisites.missing_packages(lambda program: None if program in gone else "/x")
    assert found == ["iproute2", "nftables"]
    assert prerequisites.missing_packages(lambda _: "/x") == []
