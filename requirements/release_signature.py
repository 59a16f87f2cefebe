#!/usr/bin/env python3
"""Signs dist/gtsd-VERSION.tar.gz, so that hosts take it: `make release ENVIRONMENT=production`.

The key is gtsd_release_key in the vault of that environment. It goes from there through a pipe to
an agent that ends with the command, and so never onto a disk, nor among the words of a command.
Where a machine without the vault builds, GTSD_RELEASE_KEY_FILE names the file of a key.
Run by the Python of .venvs/ansible where a vault is to be opened, by any other for a file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

from requirements.release_names import ROOT, archive_of, parser, signature_of

# What a signature is for: one that was made for anything else is none of ours.
NAMESPACE: Final = "gtsd-release"
VARIABLE: Final = "gtsd_release_key"
# Its words come as arguments, so nothing in them is read as a command.
_BY_AGENT: Final = (
    'ssh-add -q - && ssh-add -L >"$2" && exec ssh-keygen -q -Y sign -n "$1" -f "$2" "$3"'
)


class Refused(Exception):
    """Why nothing was signed."""


def main(arguments: Sequence[str]) -> int:
    """Sign the archive, or say that nothing did; 2 where a signature was wanted and not made."""
    options = parser("Sign a release's archive.")
    options.add_argument("--environment", default="", help="whose vault has the key")
    given = options.parse_args(arguments)
    archive = archive_of(given.version, given.folder)
    file = os.environ.get("GTSD_RELEASE_KEY_FILE", "")
    try:
        if given.environment:
            sign(archive, vault_key(ROOT / "inventories" / given.environment))
        elif file:
            sign(archive, Path(file))
        elif signature_of(archive).exists():
            sys.stdout.write(f"{signature_of(archive)} is of these bytes; it stays.\n")
            return 0
        else:
            sys.stdout.write(
                f"Not signed, so hosts refuse it: make release VERSION={given.version}"
                " ENVIRONMENT=production, or GTSD_RELEASE_KEY_FILE=path\n"
            )
            return 0
    except Refused as refused:
        sys.stderr.write(f"{refused}\n")
        return 2
    sys.stdout.write(f"{signature_of(archive)}\n")
    return 0


def sign(archive: Path, key: str | Path) -> Path:
    """Write the signature beside the archive, by the text of a private key or the file of one."""
    signature = signature_of(archive)
    signature.unlink(missing_ok=True)
    if isinstance(key, Path):
        command = ["ssh-keygen", "-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(key), str(archive)]
        _run(command, "", f"{key} did not sign {archive.name}")
        return signature
    with tempfile.TemporaryDirectory() as folder:
        words = ["sign", NAMESPACE, f"{folder}/public", str(archive)]
        # ssh-add wants the last line to end.
        said = (
            f"{VARIABLE} did not sign {archive.name}; it must be an OpenSSH key without passphrase"
        )
        _run(["ssh-agent", "sh", "-c", _BY_AGENT, *words], f"{key.strip()}\n", said)
    return signature


def vault_key(environment: Path) -> str:
    """The key in the vault of an inventory; refuses with what is missing."""
    vault = environment / "group_vars" / "all" / "vault.yml"
    if not vault.is_file():
        raise Refused(f"There is no {vault}: make new-environment NAME={environment.name}")
    # The names that Ansible itself goes by.
    password = os.environ.get("ANSIBLE_VAULT_PASSWORD_FILE") or environment / ".vault-password"
    key = _opened(vault, Path(password)).get(VARIABLE)
    if not key:
        raise Refused(
            f"{vault} has no {VARIABLE}: an OpenSSH ed25519 key without passphrase."
            f" Example: ssh-keygen -t ed25519 -N '' -C {environment.name}, then ansible-vault edit"
        )
    return str(key)


def _opened(vault: Path, password: Path) -> dict[str, Any]:
    import yaml
    from ansible.errors import AnsibleError
    from ansible.parsing.dataloader import DataLoader
    from ansible.parsing.vault import VaultLib, get_file_vault_secret

    try:
        # Ansible's vault has no types.
        secret = cast(Any, get_file_vault_secret(filename=str(password), loader=DataLoader()))
        secret.load()
        text = cast(Any, VaultLib([("default", secret)])).decrypt(vault.read_bytes())
    except AnsibleError as error:
        raise Refused(f"{vault} was not opened by {password}: {error.message}") from error
    return cast(dict[str, Any], yaml.safe_load(text) or {})


def _run(command: Sequence[str], stdin: str, failed: str) -> None:
    done = subprocess.run(  # noqa: S603 our own words
        command, input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Refused(f"{failed}: {done.stderr.strip() or 'no word why'}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
