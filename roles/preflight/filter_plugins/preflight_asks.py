"""What each host is asked: arguments of the module preflight_probe, from the inventory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Variables = Mapping[str, Any]
Groups = Mapping[str, list[str]]

PKI = "/etc/gtsd/pki"
PUBLIC = "/etc/gtsd/tls/fullchain.pem"
PROGRAM = "/opt/gtsd/current/bin/gtsd"
# Leaf of the internal CA, group that has it, name of its port.
LEAVES = (
    ("etcd", "database", "etcd_client"),
    ("patroni", "database", "patroni"),
    ("postgresql", "database", "postgresql"),
    ("redis", "cache", "redis"),
    ("haproxy", "app", "api_base"),
    ("nginx", "edge", ""),
)


def instances(variables: Variables, cores: int = 1) -> int:
    """How many API instances an app host has; one a core unless the inventory says."""
    try:
        return int(variables.get("gtsd_instances") or cores)
    except Exception:  # noqa: BLE001 - a template over facts that are not gathered yet
        return cores


def numbers(port: Any, target: Variables) -> list[int]:
    """The ports of a row of the matrix; of a range, those that the instances use."""
    first, _, last = str(port).partition("-")
    if not last:
        return [int(first)]
    return list(range(int(first), min(int(last), int(first) + instances(target) - 1) + 1))


def _links(
    host: str,
    groups: Groups,
    hostvars: Mapping[str, Variables],
    matrix: Sequence[Mapping[str, Any]],
) -> Iterator[dict[str, Any]]:
    mine = {name for name, members in groups.items() if host in members}
    for row in matrix:
        if not mine & set(row["from"]):
            continue
        for target in groups.get(row["to"], []):
            for port in row["ports"] if target != host else []:
                for number in numbers(port, hostvars[target]):
                    address = str(hostvars[target]["gtsd_address"])
                    yield {"name": row["name"], "host": target, "address": address, "port": number}


def _of_leaves(
    host: str, groups: Groups, address: str, ports: Mapping[str, int]
) -> Iterator[tuple[str, dict[str, Any] | None]]:
    for leaf, group, port in LEAVES:
        if host not in groups.get(group, []):
            continue
        path = f"{PKI}/{leaf}/cert.pem"
        door = {"name": leaf, "address": address, "path": path, "postgresql": leaf == "postgresql"}
        # The first instance's port stands for all: one program serves them with one certificate.
        number = int(ports[port]) + (port == "api_base") if port else 0
        yield path, {**door, "port": number} if number else None


def preflight_asks(
    host: str,
    hostvars: Mapping[str, Variables],
    groups: Groups,
    matrix: Sequence[Mapping[str, Any]],
    scope: str,
) -> dict[str, Any]:
    """The arguments for one host. Before a deployment only the host itself is of interest."""
    if scope != "all":
        return {}
    variables = hostvars[host]
    ports, domain = variables["gtsd_ports"], str(variables["gtsd_domain"])
    address = str(variables["gtsd_address"])
    leaves = list(_of_leaves(host, groups, address, ports))
    certificates = [f"{PKI}/ca.pem", *(path for path, _ in leaves)]
    doors = [door for _, door in leaves if door]
    pages: list[dict[str, Any]] = []
    commands: list[dict[str, Any]] = []
    if host in groups.get("edge", []):
        certificates.append(PUBLIC)
        public = {"address": address, "port": int(ports["https"])}
        doors.append({"name": domain, "path": PUBLIC, **public})
        pages.append({"name": domain, "path": "/health", **public, "tls": True})
    if host in groups.get("app", []):
        ready = {"name": domain, "path": "/ready", "address": "127.0.0.1"}
        numbered = range(1, 1 + instances(variables))
        pages += [{**ready, "port": int(f"{ports['instance_prefix']}{n}")} for n in numbered]
        pages.append({**ready, "port": int(ports["worker"])})
        commands.append({"name": "check", "argv": [PROGRAM, "check"]})
        if host == groups["app"][0]:
            commands.append({"name": "migrate", "argv": [PROGRAM, "migrate", "plan"]})
    return {
        "resolve": domain if host in groups.get("edge", []) else "",
        "paths": [PROGRAM, f"{PKI}/ca.pem", PUBLIC],
        "certificates": certificates,
        "doors": doors,
        "pages": pages,
        "commands": commands,
        "links": list(_links(host, groups, hostvars, matrix)),
    }


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The names that templates use."""
        return {"preflight_asks": preflight_asks}
