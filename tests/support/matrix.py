"""Who may open which TCP port on whom, from the same table as the firewall, by other means.

The role computes rules for one host; this answers for a pair of hosts, as a scan sees it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_REFERENCE = re.compile(r"\{\{ gtsd_ports\.(\w+)(?: \+ (\d+))? \}\}")


@dataclass(frozen=True)
class Link:
    """A row of the table: who may open these ports on whom."""

    name: str
    ports: frozenset[int]
    target: str
    sources: frozenset[str]


def _ports(entries: Iterable[object], names: Mapping[str, int]) -> frozenset[int]:
    """The numbers that entries like 443, "8441-8504" or "{{ gtsd_ports.ssh }}" stand for."""

    def number(match: re.Match[str]) -> str:
        return str(names[match[1]] + int(match[2] or 0))

    found: set[int] = set()
    for entry in entries:
        first, _, last = _REFERENCE.sub(number, str(entry)).partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def read_links(text: str, extra: Iterable[Mapping[str, Any]] = ()) -> list[Link]:
    """The rows of a ports.yml and those that an inventory adds, as far as they are about TCP."""
    page: dict[str, Any] = yaml.safe_load(text)
    names: dict[str, int] = page["gtsd_ports"]
    rows = [row for row in [*page["gtsd_links"], *extra] if row.get("protocol", "tcp") == "tcp"]
    return [
        Link(row["name"], _ports(row["ports"], names), row["to"], frozenset(row["from"]))
        for row in rows
    ]


def read_egress(defaults: str) -> frozenset[int]:
    """TCP ports that a host may open to the whole world, by the role's defaults."""
    rows: list[dict[str, Any]] = yaml.safe_load(defaults)["base_egress"]
    wide = [row for row in rows if row.get("protocol", "tcp") == "tcp" and "any" in row["to"]]
    return frozenset().union(*(_ports(row["ports"], {}) for row in wide))


def _groups_of(host: str, groups: Mapping[str, Collection[str]]) -> set[str]:
    return {"all", *(group for group, hosts in groups.items() if host in hosts)}


def open_ports(
    links: Iterable[Link],
    groups: Mapping[str, Collection[str]],
    target: str,
    source: str | None = None,
    egress: Collection[int] = (),
) -> frozenset[int]:
    """What may be opened on the target from a host of ours, or (None) from anywhere else.

    Our own hosts are shut in, too: they reach what a row with one of their groups names, and what
    every host may open to the world. A row from any opens a port to strangers, not to them.
    """
    rows = list(links)
    theirs = _groups_of(target, groups)
    if source is None:
        outside = [row.ports for row in rows if row.target in theirs and "any" in row.sources]
        return frozenset().union(*outside)
    ours = _groups_of(source, groups)
    named = [row.ports for row in rows if row.target in theirs and row.sources & ours]
    return frozenset().union(*named) | (open_ports(rows, groups, target) & set(egress))


def of_project(root: Path, inventory: str | None = None) -> tuple[list[Link], frozenset[int]]:
    """The table of the project, and what every host may open to the world."""
    table = (root / "playbooks/group_vars/all/ports.yml").read_text()
    defaults = (root / "roles/base/defaults/main.yml").read_text()
    own: dict[str, Any] = {}
    if inventory is not None:
        page = root / "inventories" / inventory / "group_vars/all/main.yml"
        own = yaml.safe_load(page.read_text())
    egress = yaml.safe_dump(own) if "base_egress" in own else defaults
    return read_links(table, own.get("base_extra_links", ())), read_egress(egress)
