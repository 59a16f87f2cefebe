"""Production and staging are what `make new-environment` writes; pages name only what exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

_PLAYBOOK = re.compile(r"\bplaybooks/([\w-]+\.yml)")
ENVIRONMENTS = ("production", "staging")


def keys(content: Any, above: str = "") -> set[str]:
    """All keys of a page, those inside others with what is above them."""
    if not isinstance(content, dict):
        return set()
    names = {f"{above}{key}": value for key, value in content.items()}
    return {*names, *(key for name, value in names.items() for key in keys(value, f"{name}."))}


def lost_playbooks(text: str, playbooks: set[str]) -> list[str]:
    """Playbooks that a page tells people to run and that are not there."""
    return sorted(set(_PLAYBOOK.findall(text)) - playbooks)


def _pages(root: Path, environment: str) -> dict[str, Path]:
    folder = root / "inventories" / environment
    # A vault is there once `make new-environment` has been run, and never in what we ship.
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*.yml")}
    return {name: path for name, path in found.items() if not name.endswith("vault.yml")}


def test_staging_and_production_have_the_same_keys(root: Path) -> None:
    """What staging never sets, staging never tries."""
    ours = [
        {name: keys(yaml.safe_load(path.read_text())) for name, path in _pages(root, e).items()}
        for e in ENVIRONMENTS
    ]
    assert ours[0] == ours[1]
    assert "gtsd_domain" in ours[0]["group_vars/all/main.yml"]


def test_both_are_what_a_new_environment_would_be(root: Path) -> None:
    """An example that is not made by the program would drift away from it."""
    for environment in ENVIRONMENTS:
        signer = f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{'Example' * 6}Exam {environment}"
        for name, path in _pages(root, environment).items():
            text = (root / "inventories" / "template" / name).read_text()
            for word, value in (("NAME", environment), ("KIND", environment), ("SIGNER", signer)):
                text = text.replace(f"{{{{{word}}}}}", value)
            assert path.read_text() == text


def test_no_password_of_a_vault_is_in_the_repository(files: list[Path]) -> None:
    """Neither the file that opens a vault, nor a vault that is not encrypted."""
    assert [path for path in files if path.name == ".vault-password"] == []
    vaults = [path for path in files if path.name == "vault.yml"]
    assert [path for path in vaults if not path.read_text().startswith("$ANSIBLE_VAULT;")] == []


def test_pages_name_only_playbooks_that_exist(root: Path, files: list[Path]) -> None:
    """At three in the morning a command that does not exist costs minutes."""
    playbooks = {path.name for path in (root / "playbooks").glob("*.yml")}
    assert "site.yml" in playbooks
    found = [
        f"{path.relative_to(root)}: {name}"
        for path in files
        if path.suffix in {".md", ".yml"}
        for name in lost_playbooks(path.read_text(), playbooks)
    ]
    assert not found, "\n".join(found)


def test_differing_keys_and_lost_playbooks_are_found() -> None:
    """Keys inside others count, and lists have none."""
    assert keys({"a": {"b": [{"c": 1}]}, "d": None}) == {"a", "a.b", "d"}
    text = "`ansible-playbook -i inventories/x playbooks/gone.yml`, then playbooks/site.yml"
    assert lost_playbooks(text, {"site.yml"}) == ["gone.yml"]
