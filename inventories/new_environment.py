"""Writes what is missing of inventories/NAME with fresh secrets: make new-environment NAME=…

Nothing that exists is changed. The key that signs releases is among the secrets, its public half on
the page that hosts are told. The vault is encrypted with a password of its own, which stays in
inventories/NAME/.vault-password, outside of git; `vault_password.py` beside this hands it out.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

HERE = Path(__file__).parent
_PAGES = ("hosts.yml", "group_vars/all/main.yml")
_VAULT = "group_vars/all/vault.yml"
_PASSWORD = ".vault-password"  # noqa: S105 - the name of its file
_BYTES = 32
_KEY = "gtsd_release_key"
# They are folders here, or groups and words of Ansible.
_RESERVED = {"template", "rehearsal", "all", "ungrouped", "localhost"}


class Refused(Exception):
    """Why nothing was written."""


def check_name(name: str) -> None:
    """A name that can be a folder and reads well in a command."""
    if not name:
        raise Refused("Name the environment: make new-environment NAME=production")
    if not re.fullmatch(r"[a-z][a-z0-9-]{1,30}", name) or name in _RESERVED:
        raise Refused(
            f"{name!r} cannot be the name of an environment: 2 to 31 small letters, digits and"
            f" hyphens, a letter first, none of {', '.join(sorted(_RESERVED))}. Example: eu-west"
        )


def new_key(comment: str) -> tuple[str, str]:
    """A key that signs, and its public half, as ssh-keygen writes them."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return private.decode().strip(), f"{public.decode()} {comment}"


def page(name: str, environment: str, signer: str) -> str:
    """A page of the template, filled in."""
    kind = "staging" if "staging" in environment or "test" in environment else "production"
    text = (HERE / "template" / name).read_text()
    words = {"NAME": environment, "KIND": kind, "SIGNER": signer}
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda match: words[match[1]], text)


def wanted_secrets() -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Required and optional secrets, each with what it is for, from the playbooks' own list."""
    shared = HERE.parent / "playbooks" / "group_vars" / "all" / "secrets.yml"
    lists = yaml.safe_load(shared.read_text())
    return lists["gtsd_secrets"], lists["gtsd_optional_secrets"]


def vault_text(key: str) -> str:
    """The page of secrets before it is encrypted, every required one and the key fresh."""
    required, optional = wanted_secrets()
    lines = ["# Change it by: ansible-vault edit on this file. Nothing here has a default."]
    for name, meaning in required.items():
        lines += [f"# {meaning}", f"{name}: {secrets.token_urlsafe(_BYTES)}"]
    for name, meaning in optional.items():
        lines += [f"# Optional: {meaning}"]
        if name == _KEY:
            lines += [f"{name}: |", *(f"  {line}" for line in key.splitlines())]
        else:
            lines += [f"# {name}:"]
    return "\n".join([*lines, ""])


def encrypted(text: str, password: str) -> str:
    """The text as ansible-vault writes it."""
    # Ansible's vault has no types.
    vault = cast(Any, VaultLib([("default", VaultSecret(password.encode()))]))
    return cast(bytes, vault.encrypt(text)).decode().rstrip() + "\n"


def _write(path: Path, text: str, mode: int) -> None:
    """Whole or not at all, and never over a file that is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        os.link(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def create(name: str, inventories: Path) -> Iterator[str]:
    """Write what is missing; a sentence for each file, and one where a page needs a hand."""
    check_name(name)
    folder = inventories / name
    vault, password = folder / _VAULT, folder / _PASSWORD
    if vault.exists():
        if not password.exists():
            raise Refused(
                f"{vault} exists, its password does not: put it into {password}. A new password"
                " would not open it, and a new vault would lock out the running servers."
            )
        if all((folder / file).exists() for file in _PAGES):
            raise Refused(f"{folder} is complete; nothing was changed.")
    key, signer = new_key(name)
    for file in _PAGES:
        if not (folder / file).exists():
            _write(folder / file, page(file, name, signer), 0o644)
            yield f"written: {os.path.relpath(folder / file)}"
    if not password.exists():
        _write(password, secrets.token_urlsafe(_BYTES) + "\n", 0o600)
        place = os.path.relpath(password)
        yield f"written: {place}: keep a copy in a safe place; without it the vault is lost"
    if not vault.exists():
        _write(vault, encrypted(vault_text(key), password.read_text().strip()), 0o644)
        yield f"written: {os.path.relpath(vault)}: encrypted, so it may be committed"
        if signer not in (folder / _PAGES[1]).read_text():
            yield f"Put this into gtsd_release_signers of {_PAGES[1]}:\n  - {signer}"


def main(arguments: list[str]) -> int:
    """The exit status: 2 when nothing was written."""
    name = arguments[0] if arguments else ""
    try:
        for line in create(name, HERE):
            print(line)  # noqa: T201 - its answer
    except (Refused, OSError) as refused:
        print(refused, file=sys.stderr)  # noqa: T201 - its answer
        return 2
    print(  # noqa: T201 - its answer
        f"Now name your hosts in inventories/{name}/hosts.yml, fill in group_vars/all/main.yml:\n"
        f"  ansible-playbook -i inventories/{name} playbooks/preflight.yml"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
