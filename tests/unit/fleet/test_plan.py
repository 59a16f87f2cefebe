"""Names and addresses of a rehearsal's hosts."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from tests.fleet.machines.shapes import (
    GROUPS,
    SHAPES,
    Plan,
    Shape,
    bridge_name,
    check_name,
    free_network,
)

_NETWORK = IPv4Network("10.98.7.0/24")


@pytest.mark.parametrize("shape", SHAPES.values(), ids=str)
def test_every_shape_fills_every_group(shape: Shape) -> None:
    """A group without a host would leave its playbook untried."""
    assert tuple(shape.groups) == GROUPS
    assert all(shape.groups.values())


def test_every_host_has_an_address_of_its_own() -> None:
    """The gateway is none of them."""
    plan = Plan("x", SHAPES["full"], "bookworm", _NETWORK)
    addresses = [plan.address(host) for host in plan.shape.hosts]
    assert len(set(addresses)) == 9
    assert plan.gateway not in addresses
    assert plan.edges() == ["10.98.7.11", "10.98.7.12"]


def test_a_host_in_several_groups_is_one_host() -> None:
    """The small shape has one, the full one keeps databases and caches on the same three."""
    assert SHAPES["small"].hosts == ("vm1",)
    assert SHAPES["full"].members == (
        "edge1", "edge2", "app1", "app2", "db1", "db2", "db3", "ops1",
    )  # fmt: skip


def test_a_spare_host_is_up_and_in_no_group() -> None:
    """It waits for the test that lets it join."""
    shape = SHAPES["full"]
    assert shape.hosts == (*shape.members, "app3")
    assert not any("app3" in hosts for hosts in shape.groups.values())


def test_a_fleet_takes_a_network_that_the_machine_has_no_route_to() -> None:
    """A default route overlaps with everything, and takes nothing."""
    taken = [IPv4Network("10.98.0.0/24"), IPv4Network("10.98.1.128/25")]
    assert free_network(taken) == IPv4Network("10.98.2.0/24")
    with pytest.raises(LookupError):
        free_network([IPv4Network("10.0.0.0/8")])


@pytest.mark.parametrize("name", ["", "A", "a-b", "1a", "x" * 13, "a/b", "rehearsal\n"])
def test_a_name_that_could_be_another_ones_is_refused(name: str) -> None:
    """Names become interfaces, folders and tables, and are all that is known when cleaning up."""
    with pytest.raises(ValueError, match="up to 12 small letters"):
        check_name(name)


def test_a_name_fits_into_an_interface() -> None:
    """Linux allows 15 characters."""
    assert len(bridge_name(check_name("x" * 12))) <= 15
