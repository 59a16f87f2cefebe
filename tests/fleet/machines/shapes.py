"""Which hosts a rehearsal has, in which groups, and at which addresses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network

GROUPS = ("edge", "app", "database", "cache", "backup", "monitor")
DOMAIN = "rehearsal.test"
PUBLIC_NAME = f"api.{DOMAIN}"
# What is outside and no host of the fleet: an object store, where a test starts one.
STORE_NAME = f"s3.{DOMAIN}"
SUITES = ("bookworm", "trixie")
# Bridges' names have at most 15 characters; no hyphen, lest one fleet's begin like another's.
_NAME = re.compile(r"[a-z][a-z0-9]{0,11}")
_FIRST_OCTET = 11


@dataclass(frozen=True)
class Shape:
    """Hosts by group, and what the machine must have free for them."""

    name: str
    groups: dict[str, tuple[str, ...]]
    memory_mb: int
    disk_mb: int
    spares: tuple[str, ...] = ()
    """Bare hosts that are up, and in no group until a test lets one join."""

    @property
    def members(self) -> tuple[str, ...]:
        """Every host of a group once, in the order of the groups."""
        return tuple(dict.fromkeys(host for hosts in self.groups.values() for host in hosts))

    @property
    def hosts(self) -> tuple[str, ...]:
        """All machines, the spare ones last."""
        return self.members + self.spares


SHAPES = {
    "small": Shape("small", dict.fromkeys(GROUPS, ("vm1",)), memory_mb=1536, disk_mb=3000),
    "full": Shape(
        "full",
        {
            "edge": ("edge1", "edge2"),
            "app": ("app1", "app2"),
            "database": ("db1", "db2", "db3"),
            "cache": ("db1", "db2", "db3"),
            "backup": ("ops1",),
            "monitor": ("ops1",),
        },
        memory_mb=5500,
        disk_mb=11000,
        spares=("app3",),
    ),
}


@dataclass(frozen=True)
class Plan:
    """One fleet: its name, shape, Debian release and network."""

    name: str
    shape: Shape
    suite: str
    network: IPv4Network

    @property
    def gateway(self) -> str:
        """Where the world outside begins: this machine, on the fleet's bridge."""
        return str(self.network[1])

    @property
    def bridge(self) -> str:
        return bridge_name(self.name)

    @property
    def binds_accounts(self) -> bool:
        """Whether the certificate authority knows its customers by a key, as ZeroSSL does.

        On one of the releases, so that both kinds of authority are tried.
        """
        return self.suite == "trixie"

    def address(self, host: str) -> str:
        """The address of a host of the fleet."""
        return str(self.network[_FIRST_OCTET + self.shape.hosts.index(host)])

    def edges(self) -> list[str]:
        """The addresses that the public name has."""
        return [self.address(host) for host in self.shape.groups["edge"]]


def check_name(name: str) -> str:
    """The name of a fleet, if it can be one."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"A fleet's name is up to 12 small letters and digits, and starts with a letter, "
            f"unlike {name!r}."
        )
    return name


def bridge_name(name: str) -> str:
    """The interface of this machine that the hosts of a fleet are connected to."""
    return f"gr-{name}"


def namespace_name(name: str, host: str) -> str:
    """The network namespace of a host."""
    return f"gtsd-{name}-{host}"


def table_name(name: str) -> str:
    """The nftables table that bounds what a fleet reaches."""
    return f"gtsd_{name}"


def free_network(taken: list[IPv4Network]) -> IPv4Network:
    """The first /24 that this machine has no route to."""
    for number in range(256):
        network = ip_network(f"10.98.{number}.0/24")
        assert isinstance(network, IPv4Network)
        if not any(network.overlaps(other) for other in taken):
            return network
    raise LookupError("Every network of 10.98.0.0/16 is in use on this machine.")
