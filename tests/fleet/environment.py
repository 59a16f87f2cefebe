"""An inventory for a fleet as an operator makes it: `make new-environment`, then two pages."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from requirements.release_signature import sign
from tests.fleet.machines.places import ANSIBLE, PROJECT
from tests.fleet.machines.tested import TestedFleet

# What reaches the machines, and what only a rehearsal has; as an operator writes both down.
_REACHED = (
    "ansible_user",
    "ansible_become",
    "ansible_ssh_private_key_file",
    "ansible_control_path_dir",
    "ansible_ssh_common_args",
)


@contextmanager
def made_for(fleet: TestedFleet, name: str) -> Iterator[Path]:
    """The folder of a new environment with a vault, of one host; it is gone afterwards."""
    folder = PROJECT / "inventories" / name
    shutil.rmtree(folder, ignore_errors=True)
    try:
        subprocess.run(["make", "new-environment", f"NAME={name}"], cwd=PROJECT, check=True)
        _name_host(fleet, folder / "hosts.yml")
        _fill_in(fleet, folder / "group_vars")
        for archive in fleet.state.glob("gtsd-*.tar.gz"):
            sign(archive, secrets(folder)["gtsd_release_key"])
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def secrets(folder: Path) -> dict[str, str]:
    """What is in the vault, as `ansible-vault view` shows it."""
    vault = folder / "group_vars" / "all" / "vault.yml"
    assert vault.read_text().startswith("$ANSIBLE_VAULT;")
    command = [str(ANSIBLE / "ansible-vault"), "view", str(vault.relative_to(PROJECT))]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    found: dict[str, str] = yaml.safe_load(done.stdout)
    return found


def _told(fleet: TestedFleet) -> dict[str, Any]:
    told = json.loads((fleet.state / "inventory.json").read_text())["all"]["vars"]
    found: dict[str, Any] = told
    return found


def _name_host(fleet: TestedFleet, page: Path) -> None:
    text = page.read_text().replace("192.0.2.10", fleet.address("vm1"))
    reached = {name: _told(fleet)[name] for name in _REACHED}
    lines = [f"    {name}: {json.dumps(value)}\n" for name, value in reached.items()]
    text, count = re.subn(
        r"(?m)^    ansible_user: debian\n    ansible_become: true\n",
        lambda _: "".join(lines),
        text,
        count=1,
    )
    assert count
    page.write_text(text)


def _fill_in(fleet: TestedFleet, folder: Path) -> None:
    """With what the rehearsal's page says; its own variables are known to it alone."""
    rehearsal = PROJECT / "inventories" / "rehearsal" / "group_vars"
    text = (rehearsal / "all" / "main.yml").read_text()
    for name, value in _told(fleet).items():
        text = text.replace(f"{{{{ {name} }}}}", str(value))
    page = folder / "all" / "main.yml"
    own = yaml.safe_load(page.read_text())
    values = {**own, **yaml.safe_load(text)}
    values["gtsd_release_signers"] = own["gtsd_release_signers"]
    values |= fleet.customer
    # An operator's CA lies beside the inventory.
    del values["pki_folder"]
    page.write_text(yaml.safe_dump(values, width=1000))
    shutil.copytree(rehearsal / "app", folder / "app")
