"""What Ansible and SSH are told of a fleet; written at its start, and only read afterwards."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.fleet.machines.commands import write_private
from tests.fleet.machines.host import ACME_CA
from tests.fleet.machines.image import ADMIN
from tests.fleet.machines.places import Places
from tests.fleet.machines.shapes import Plan


@dataclass(frozen=True)
class Public:
    """The public halves of a fleet's keys: who gets in, and whose releases its hosts take."""

    admin: str
    releases: str


def write(plan: Plan, host_keys: dict[str, str], public: Public, secrets: dict[str, str]) -> None:
    """Known hosts, a configuration for `ssh`, and the answer of the dynamic inventory."""
    places = Places(plan.name)
    know(plan, host_keys)
    places.ssh_config.write_text(_ssh_config(plan))
    places.sockets.mkdir(mode=0o700)
    write_private(places.inventory, json.dumps(contents(plan, public, secrets), indent=1))


def know(plan: Plan, host_keys: dict[str, str]) -> None:
    """The hosts' own keys, by which a client knows them."""
    known = [f"{host},{plan.address(host)} {key}\n" for host, key in host_keys.items()]
    Places(plan.name).known_hosts.write_text("".join(known))


def join(plan: Plan, host: str, group: str) -> None:
    """Add a spare host to a group, as an operator does who edits the inventory."""
    place = Places(plan.name).inventory
    told = json.loads(place.read_text())
    told["_meta"]["hostvars"][host] = {"ansible_host": plan.address(host)}
    told[group]["hosts"].append(host)
    write_private(place, json.dumps(told, indent=1))


def _ssh_config(plan: Plan) -> str:
    places = Places(plan.name)
    hosts = [f"Host {host}\n  HostName {plan.address(host)}\n" for host in plan.shape.hosts]
    return "".join(hosts) + (
        f"Host *\n  User {ADMIN}\n  IdentityFile {places.key}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {places.known_hosts}\n  StrictHostKeyChecking yes\n"
        f"  ControlMaster auto\n  ControlPath {places.sockets}/%C\n  ControlPersist 120\n"
        "  ServerAliveInterval 5\n  ConnectTimeout 10\n"
    )


def contents(plan: Plan, public: Public, secrets: dict[str, str]) -> dict[str, object]:
    """The hosts, how they are reached, and what a production inventory keeps in its vault."""
    places = Places(plan.name)
    variables = {
        "ansible_user": ADMIN,
        "ansible_become": True,
        "ansible_ssh_private_key_file": str(places.key),
        # Not the usual folder: another fleet may have had the same addresses a minute ago.
        "ansible_control_path_dir": str(places.sockets),
        "ansible_ssh_common_args": (
            f"-o UserKnownHostsFile={places.known_hosts} -o StrictHostKeyChecking=yes"
            " -o IdentitiesOnly=yes"
        ),
        "rehearsal_name": plan.name,
        "rehearsal_shape": plan.shape.name,
        "rehearsal_gateway": plan.gateway,
        "rehearsal_state_folder": str(places.state),
        "rehearsal_admin_key": public.admin,
        "rehearsal_release_signer": public.releases,
        "rehearsal_acme_ca_file": f"/{ACME_CA}",
        **secrets,
    }
    hosts = {host: {"ansible_host": plan.address(host)} for host in plan.shape.members}
    groups = {group: {"hosts": list(members)} for group, members in plan.shape.groups.items()}
    return {
        "_meta": {"hostvars": hosts},
        "all": {"children": list(groups), "vars": variables},
        **groups,
    }
