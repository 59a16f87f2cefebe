"""The firewall's rows of one host, computed from the table of links and the inventory's groups."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

# A group of ours may be empty; a name that is neither one of these nor in the inventory is a slip.
GROUPS = {"edge", "app", "database", "cache", "backup", "monitor"}
KEY_KINDS = {
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
}
PORTS = re.compile(r"^\d{1,5}(-\d{1,5})?$")


def _network(text: object) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The network or address that the text names, or None."""
    try:
        return ipaddress.ip_network(str(text), strict=False)
    except ValueError:
        return None


def base_not_networks(texts: Iterable[str]) -> list[str]:
    """Those of the texts that are neither a network, nor an address, nor the word any."""
    return [text for text in texts if text != "any" and _network(text) is None]


def base_holds(networks: Collection[str], address: str) -> bool:
    """Whether one of the networks holds the address."""
    if "any" in networks:
        return True
    wanted = ipaddress.ip_address(address)
    return any(wanted in network for network in map(_network, networks) if network)


def base_family(texts: Iterable[str], version: int) -> list[str]:
    """Those of the addresses and networks that are of one version of IP."""
    return [text for text in texts if (found := _network(text)) and found.version == version]


def base_bad_links(links: Iterable[Mapping[str, Any]], groups: Iterable[str]) -> list[str]:
    """What is wrong in a table of links, a sentence each."""
    known = {"all", *GROUPS, *groups}
    found = []
    for link in links:
        name = link.get("name", "a link without a name")
        if missing := sorted({"name", "ports", "to", "from"} - set(link)):
            found.append(f"{name} lacks {', '.join(missing)}")
            continue
        for port in link["ports"]:
            ends = [int(end) for end in str(port).split("-")] if PORTS.match(str(port)) else []
            if not ends or not 1 <= ends[0] <= ends[-1] <= 65535:
                found.append(f"{name} has the port {port}, which is none")
        if link["to"] not in known:
            found.append(f"{name} leads to {link['to']}, which is no group")
        strangers = [peer for peer in base_not_networks(link["from"]) if peer not in known]
        found += [
            f"{name} comes from {peer}, which is neither group nor network" for peer in strangers
        ]
        if link.get("protocol", "tcp") not in ("tcp", "udp"):
            found.append(
                f"{name} has the protocol {link['protocol']}, which is neither tcp nor udp"
            )
    return found


def _row(
    link: Mapping[str, Any], peers: Collection[str], groups: Mapping[str, Collection[str]]
) -> dict[str, Any]:
    """A rule: which ports, and which groups or networks are at the other end."""
    return {
        "name": link["name"],
        "protocol": link.get("protocol", "tcp"),
        "ports": ", ".join(str(port) for port in link["ports"]),
        "any": "any" in peers,
        "groups": [peer for peer in peers if groups.get(peer)],
        "networks": [peer for peer in peers if peer != "any" and _network(peer)],
    }


def base_rows(
    links: Iterable[Mapping[str, Any]],
    own_groups: Iterable[str],
    groups: Mapping[str, Collection[str]],
) -> dict[str, list[dict[str, Any]]]:
    """What may come into a host of these groups, and what it may open to other hosts.

    A row from any is about who comes from outside: our own hosts need a row of their own.
    """
    own = {"all", *own_groups}
    rows: dict[str, list[dict[str, Any]]] = {"incoming": [], "outgoing": []}
    for link in links:
        if link["to"] in own:
            rows["incoming"].append(_row(link, link["from"], groups))
        if own & set(link["from"]):
            rows["outgoing"].append(_row(link, [link["to"]], groups))
    return rows


def base_egress_rows(egress: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of what a host may open to the world."""
    return [_row(row, row["to"], {}) for row in egress]


def _rsa_bits(blob: bytes) -> int:
    """The length of the modulus in an RSA key."""
    lengths = []
    while blob:
        size = int.from_bytes(blob[:4], "big")
        lengths.append(int.from_bytes(blob[4 : 4 + size], "big").bit_length())
        blob = blob[4 + size :]
    return lengths[2] if len(lengths) > 2 else 0


def base_bad_keys(keys: Iterable[str], rsa_bits: int) -> list[str]:
    """Those of the public keys that are none, of a kind that is refused, or too short."""
    found = []
    for key in keys:
        kind, _, rest = str(key).partition(" ")
        try:
            blob = base64.b64decode(rest.split()[0], validate=True)
        except (ValueError, IndexError):
            found.append(key)
            continue
        named = blob[4 : 4 + int.from_bytes(blob[:4], "big")]
        short = kind == "ssh-rsa" and _rsa_bits(blob) < rsa_bits
        if kind not in KEY_KINDS or named != kind.encode() or short:
            found.append(key)
    return found


def base_set_name(group: str) -> str:
    """A group's name as nft takes it."""
    if not re.match(r"^[A-Za-z][A-Za-z0-9_-]*$", group):
        raise ValueError(f"The group {group} cannot be the name of a set of addresses")
    return group.replace("-", "_")


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        """The filters by their names."""
        return {
            "base_bad_keys": base_bad_keys,
            "base_bad_links": base_bad_links,
            "base_egress_rows": base_egress_rows,
            "base_family": base_family,
            "base_holds": base_holds,
            "base_not_networks": base_not_networks,
            "base_rows": base_rows,
            "base_set_name": base_set_name,
        }
