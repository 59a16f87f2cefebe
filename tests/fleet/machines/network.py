"""The bridge, a network namespace for each host, and the rules of what they reach."""

from __future__ import annotations

import json
from contextlib import suppress
from ipaddress import IPv4Network, ip_network
from pathlib import Path

from tests.fleet.machines import packages
from tests.fleet.machines.commands import attempt, run
from tests.fleet.machines.shapes import Plan, bridge_name, namespace_name, table_name

_NAMESPACES = Path("/run/netns")


def taken() -> list[IPv4Network]:
    """The networks that this machine has a route to."""
    found = []
    for route in json.loads(run("ip", "-j", "-4", "route", "show", "table", "all")):
        with suppress(ValueError):
            network = ip_network(route["dst"], strict=False)
            assert isinstance(network, IPv4Network)
            found.append(network)
    return found


def bring_up(plan: Plan) -> None:
    """The bridge with this machine's address on it, and the way out for packages."""
    length = plan.network.prefixlen
    run("ip", "link", "add", plan.bridge, "type", "bridge", "forward_delay", "0",
        "mcast_snooping", "0")  # fmt: skip
    run("ip", "addr", "add", f"{plan.gateway}/{length}", "dev", plan.bridge)
    run("ip", "link", "set", plan.bridge, "up")
    allow_packages(plan)


def allow_packages(plan: Plan) -> None:
    """Read anew what packages are fetched from; archives change their addresses."""
    resolvers = packages.nameservers(packages.resolver_file().read_text())
    run("nft", "-f", "-", stdin=rules(plan, resolvers, packages.addresses(packages.wanted())))


def rules(plan: Plan, resolvers: list[str], archives: set[tuple[str, int]]) -> str:
    """The table of a fleet: resolvers and package archives are reached, nothing else is."""
    table = f"table ip {table_name(plan.name)}"
    resolving = ", ".join(resolvers)
    archive = ", ".join(f"{address} . {port}" for address, port in sorted(archives))
    names = [
        f'    iifname "{plan.bridge}" ip daddr {{ {resolving} }} {protocol} dport 53 accept'
        for protocol in ("udp", "tcp")
        if resolvers
    ]
    return "\n".join(
        [
            table,
            f"delete {table}",
            f"{table} {{",
            "  chain out {",
            "    type filter hook forward priority 0; policy accept;",
            f'    iifname "{plan.bridge}" oifname "{plan.bridge}" accept',
            *names,
            f'    iifname "{plan.bridge}" ip daddr . tcp dport {{ {archive} }} accept',
            f'    iifname "{plan.bridge}" reject',
            "  }",
            "  chain translate {",
            "    type nat hook postrouting priority 100;",
            f'    ip saddr {plan.network} oifname != "{plan.bridge}" masquerade',
            "  }",
            "}",
            "",
        ]
    )


def connect(plan: Plan, host: str) -> None:
    """A namespace for the host, with a cable to the bridge; found made when it starts again."""
    namespace, cable = namespace_name(plan.name, host), cable_name(plan, host)
    if not (_NAMESPACES / namespace).exists():
        run("ip", "netns", "add", namespace)
        run("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        run("ip", "link", "set", cable, "master", plan.bridge, "up")
        address = f"{plan.address(host)}/{plan.network.prefixlen}"
        run("ip", "-n", namespace, "addr", "add", address, "dev", "eth0")
    for device in ("lo", "eth0"):
        run("ip", "-n", namespace, "link", "set", device, "up")
    run("ip", "-n", namespace, "route", "replace", "default", "via", plan.gateway)


def cable_name(plan: Plan, host: str) -> str:
    """This machine's end of a host's cable; the address makes it short and unlike any other."""
    third, fourth = plan.address(host).split(".")[2:]
    return f"gr{third}h{fourth}"


def set_cable(plan: Plan, host: str, *, connected: bool) -> None:
    """Take a host's cable out, or put it back."""
    run("ip", "link", "set", cable_name(plan, host), "up" if connected else "down")


def take_down(name: str) -> None:
    """Everything that bears the fleet's name, whether or not it was ever complete."""
    for namespace in _NAMESPACES.glob(f"{namespace_name(name, '*')}"):
        attempt("ip", "netns", "del", namespace.name)
    attempt("ip", "link", "del", bridge_name(name))
    attempt("nft", "delete", "table", "ip", table_name(name))


def leftovers(name: str) -> list[str]:
    """What of a fleet's network is still there."""
    found = [path.name for path in _NAMESPACES.glob(namespace_name(name, "*"))]
    if Path(f"/sys/class/net/{bridge_name(name)}").exists():
        found.append(bridge_name(name))
    if attempt("nft", "list", "table", "ip", table_name(name)):
        found.append(f"nft table {table_name(name)}")
    return found
