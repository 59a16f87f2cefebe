"""What is wrong with the release of an inventory, and with the keys that it is signed by."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

# A finding names its host, its variable, the problem and an example of what is right.
Problem = dict[str, str]
Variables = Mapping[str, Any]

SIGNERS = "gtsd_release_signers"
KEY = "gtsd_release_key"
_PUBLIC = re.compile(r"((?:ssh-|ecdsa-sha2-|sk-)[\w@.-]+) ([A-Za-z0-9+/]{40,}={0,3})( .*)?")
_MAGIC = b"openssh-key-v1\0"
_EXAMPLE = f"{SIGNERS}: [ssh-ed25519 AAAAC3… production]"


def _problem(host: str, variable: str, problem: str, example: str) -> Problem:
    return {"host": host, "variable": variable, "problem": problem, "example": example}


def read(variables: Variables, name: str) -> Any:
    """The value, or None where it is absent or made of what cannot be known yet."""
    try:
        return variables.get(name)
    except Exception:  # noqa: BLE001 - a template may fail in any way; then there is no value yet
        return None


def archive_wrong(variables: Variables, root: Path) -> Iterator[Problem]:
    """The release that shall run must be there, signed, before any host is touched."""
    version = read(variables, "gtsd_version")
    if not version:
        return
    archive = read(variables, "gtsd_release_archive") or root / "dist" / f"gtsd-{version}.tar.gz"
    environment = Path(str(read(variables, "inventory_dir") or "production")).name
    for file in (Path(str(archive)), Path(f"{archive}.sig")):
        if not file.is_file():
            example = f"make release VERSION={version} ENVIRONMENT={environment}"
            yield _problem("-", "gtsd_version", f"is {version}, but there is no {file}", example)
            return


def blobs(signers: Any) -> list[str] | None:
    """The keys themselves, out of a list of public keys; None where it is no such list."""
    if not isinstance(signers, list) or not signers:
        return None
    found = [_PUBLIC.fullmatch(str(signer).strip()) for signer in signers]
    return None if None in found else [match[2] for match in found if match]


def public_half(key: str) -> str | None:
    """The public half of an OpenSSH key that needs no passphrase, as it is written; else None."""
    lines = [line.strip() for line in key.strip().splitlines()]
    if lines[:1] != ["-----BEGIN OPENSSH PRIVATE KEY-----"]:
        return None
    try:
        data = base64.b64decode("".join(lines[1:-1]), validate=True)
        cipher, rest = _field(data.removeprefix(_MAGIC))
        _, rest = _field(rest)
        _, rest = _field(rest)
        # The number of keys, which is one, stands before the first.
        public, _ = _field(rest[4:])
    except (binascii.Error, ValueError):
        return None
    whole = data.startswith(_MAGIC) and cipher == b"none" and public
    return base64.b64encode(public).decode() if whole else None


def _field(data: bytes) -> tuple[bytes, bytes]:
    end = 4 + int.from_bytes(data[:4], "big")
    if len(data) < max(end, 4):
        raise ValueError("it ends too early")
    return data[4:end], data[end:]


def keys_wrong(variables: Variables) -> Iterator[Problem]:
    """Signers that are no keys, and a private key that is none or that no host would know."""
    signers = read(variables, SIGNERS)
    known = blobs(signers)
    if not signers:
        yield _problem(
            "-", SIGNERS, "is missing: hosts take no release that nobody signs", _EXAMPLE
        )
    elif known is None:
        yield _problem("-", SIGNERS, "must be a list of public SSH keys", _EXAMPLE)
    key = str(read(variables, KEY) or "")
    public = public_half(key) if key else None
    if key and public is None:
        example = "ssh-keygen -t ed25519 -N '', and the file that it writes, after a |"
        yield _problem("-", KEY, "is no OpenSSH private key without passphrase", example)
    elif public and known is not None and public not in known:
        kind = _field(base64.b64decode(public))[0].decode(errors="replace")
        text = f"is the private half of no key in {SIGNERS}, so hosts would refuse what it signs"
        yield _problem("-", KEY, text, f"{SIGNERS}: [{kind} {public}]")


def preflight_release(
    hostvars: Mapping[str, Variables], groups: Mapping[str, list[str]], root: str
) -> list[Problem]:
    """Everything that is wrong with it; an empty list when nothing is. No secret is ever told."""
    found: list[Problem] = []
    for variables in [hostvars[host] for host in groups.get("app", [])[:1]]:
        found += [*archive_wrong(variables, Path(root)), *keys_wrong(variables)]
    return found


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The names that templates use."""
        return {"preflight_release": preflight_release}
