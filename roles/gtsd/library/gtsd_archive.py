#!/usr/bin/python
"""Unpacks a release's archive, after its signature and all that is inside have been judged."""

# Imports stand where Ansible wants them: below what documents the module.
# ruff: noqa: E402

DOCUMENTATION = """
module: gtsd_archive
short_description: Unpack a release that one of its signers stands for
description:
  - >-
    First the signature is verified, then every entry is judged, then what was judged is unpacked,
    from the same bytes. Files are root's, others may read them, and only programs can be run.
  - >-
    A refusal says in one sentence what is wrong, and removes the folder with all that is in it.
    Archive and signature are removed in any case.
options:
  archive: {description: The archive on this host., type: path, required: true}
  signature: {description: Its signature on this host., type: path, required: true}
  version: {description: The release that it must be., type: str, required: true}
  signers:
    description: >-
      The public keys that releases may be signed by, as ssh-keygen reads them; each for
      gtsd-release.
    type: path
    required: true
  folder: {description: Where to unpack it; made where it is missing., type: path, required: true}
  max_mb: {description: Most that it may unpack to., type: int, default: 1024}
"""
EXAMPLES = """
- name: Unpack the release
  gtsd_archive:
    archive: /opt/gtsd/releases/1.4.0/archive.tar.gz
    signature: /opt/gtsd/releases/1.4.0/archive.tar.gz.sig
    version: 1.4.0
    signers: /etc/gtsd/release-signers
    folder: /opt/gtsd/releases/1.4.0
"""
RETURN = """
files: {description: How many were unpacked., type: int, returned: success}
signer: {description: Who signed it, by the digest of the key., type: str, returned: success}
checksum: {description: SHA-256 of the archive., type: str, returned: success}
"""

import gzip
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

_PURPOSE = "gtsd-release"
_DESCRIPTION = "release.json"
_CHUNK = 1 << 20
_KEY = re.compile(r"SHA256:\S+")
_KINDS = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
# The files of a release by their paths in it.
Files = dict[str, tarfile.TarInfo]


class Refused(Exception):
    """What is wrong with the archive, in one sentence."""


def verified(archive: BinaryIO, signature: Path, signers: Path) -> str:
    """The digest of the key that signed these bytes, which must be one of the signers'."""
    if not signature.is_file():
        raise Refused("it has no signature")
    # Alone it tells whether the bytes are those that somebody signed for this purpose.
    good = _ssh_keygen("check-novalidate", archive, signature)
    if good.returncode:
        raise Refused(f"its signature is not good for these bytes: {_reason(good.stderr)}")
    found = _KEY.search(good.stdout)
    signer = found.group() if found else "an unknown key"
    who = ["-f", str(signers), "-I", _PURPOSE]
    if _ssh_keygen("verify", archive, signature, *who).returncode:
        raise Refused(f"it was signed by {signer}, which is none of gtsd_release_signers")
    return signer


def _ssh_keygen(
    what: str, archive: BinaryIO, signature: Path, *who: str
) -> subprocess.CompletedProcess[str]:
    archive.seek(0)
    command = ["ssh-keygen", "-Y", what, *who, "-n", _PURPOSE, "-s", str(signature)]
    return subprocess.run(  # noqa: S603 - our own words
        command, stdin=archive, capture_output=True, text=True, check=False
    )


def _reason(stderr: str) -> str:
    lines = stderr.strip().splitlines() or ["ssh-keygen says no more"]
    return lines[0].rpartition(": ")[2]


def decompress(archive: BinaryIO, limit: int, into: IO[bytes]) -> None:
    """Write the tar that the archive holds, of so many bytes at most."""
    archive.seek(0)
    try:
        with gzip.GzipFile(fileobj=archive) as content:
            while chunk := content.read(_CHUNK):
                if into.tell() + len(chunk) > limit:
                    raise Refused(f"it unpacks to more than {limit >> 20} MB")
                into.write(chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Refused(f"it is no archive: {error}") from error
    into.seek(0)


def files_of(tar: tarfile.TarFile, version: str) -> Files:
    """The files by their paths in the release; refuses any entry that has no place in one."""
    top = f"gtsd-{version}"
    files: Files = {}
    folders: set[PurePosixPath] = set()
    seen: set[PurePosixPath] = set()
    for entry in tar:
        path = PurePosixPath(entry.name)
        if problem := _misplaced(entry, path, top):
            raise Refused(f"{entry.name!r} {problem}")
        if path in seen:
            raise Refused(f"{entry.name!r} is in it twice")
        seen.add(path)
        folders.update(path.parents)
        if entry.isdir():
            folders.add(path)
        else:
            files[str(path.relative_to(top))] = entry
    for name in files:
        if PurePosixPath(top, name) in folders:
            raise Refused(f"{name} is both a file and a folder")
    return files


def _misplaced(entry: tarfile.TarInfo, path: PurePosixPath, top: str) -> str | None:
    if path.is_absolute() or ".." in path.parts:
        return "leads out of the release"
    if str(path) != entry.name:
        # Two spellings of one path would pass for two files.
        return "is not how that path is written"
    if entry.type not in _KINDS or entry.issparse():
        return "is a link, a device or the like, not a file"
    if path.parts[:1] != (top,):
        return f"is not below {top}: this is another release"
    return None


def check_description(tar: tarfile.TarFile, files: Files, version: str) -> None:
    """release.json must be of that version and name every other file by its digest."""
    if _DESCRIPTION not in files:
        raise Refused(f"it has no {_DESCRIPTION}")
    try:
        told = json.load(_content(tar, files[_DESCRIPTION]))
        release, digests = told["version"], dict(told["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"its {_DESCRIPTION} cannot be read: {error!r}") from error
    if release != version:
        raise Refused(f"it is release {release} under the name of {version}")
    others = set(files) - {_DESCRIPTION}
    for name in sorted(others - set(digests)):
        raise Refused(f"{name} is in it, but not in {_DESCRIPTION}")
    for name in sorted(set(digests) - others):
        raise Refused(f"{name} is in {_DESCRIPTION}, but not in it")
    for name in sorted(others):
        found = hashlib.file_digest(_content(tar, files[name]), "sha256").hexdigest()
        if found != digests[name]:
            raise Refused(f"{name} is not the file that {_DESCRIPTION} tells of")


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> BufferedReader:
    # It promises no more than bytes, and gives this.
    return cast(BufferedReader, tar.extractfile(entry))


def write(tar: tarfile.TarFile, files: Files, folder: Path) -> None:
    """Unpack what was judged; the archive's owners and modes count for nothing."""
    for name, entry in files.items():
        path = folder / name
        for parent in reversed(path.relative_to(folder).parents):
            (folder / parent).mkdir(exist_ok=True)
            (folder / parent).chmod(0o755)
        with path.open("xb") as out:
            shutil.copyfileobj(_content(tar, entry), out, _CHUNK)
        path.chmod(0o755 if entry.mode & 0o100 else 0o644)


def unpack(places: Mapping[str, str], version: str, max_mb: int) -> dict[str, object]:
    """Who signed it, its digest and how many files it has, once they are there.

    Raises Refused with nothing left behind.
    """
    try:
        with open(places["archive"], "rb") as archive:  # noqa: PTH123 - a file for ssh-keygen too
            signer = verified(archive, Path(places["signature"]), Path(places["signers"]))
            # Beside it, since /tmp is memory on some hosts.
            with tempfile.TemporaryFile(dir=Path(places["archive"]).parent) as plain:
                decompress(archive, max_mb << 20, plain)
                with tarfile.open(fileobj=plain, mode="r:") as tar:
                    files = files_of(tar, version)
                    check_description(tar, files, version)
                    Path(places["folder"]).mkdir(parents=True, exist_ok=True)
                    write(tar, files, Path(places["folder"]))
            archive.seek(0)
            checksum = hashlib.file_digest(archive, "sha256").hexdigest()
    except tarfile.TarError as error:
        remove(places)
        raise Refused(f"it is no archive: {error}") from error
    except BaseException:
        remove(places)
        raise
    return {"signer": signer, "checksum": checksum, "files": len(files)}


def remove(places: Mapping[str, str]) -> None:
    """Leave nothing that a later run could take for a release."""
    shutil.rmtree(places["folder"], ignore_errors=True)
    for name in ("archive", "signature"):
        Path(places[name]).unlink(missing_ok=True)


def main() -> None:
    """Unpack it, or say why not."""
    from ansible.module_utils.basic import AnsibleModule

    module = AnsibleModule(
        argument_spec={
            "archive": {"type": "path", "required": True},
            "signature": {"type": "path", "required": True},
            "version": {"type": "str", "required": True},
            "signers": {"type": "path", "required": True},
            "folder": {"type": "path", "required": True},
            "max_mb": {"type": "int", "default": 1024},
        },
    )
    version = module.params["version"]
    try:
        done = unpack(module.params, version, module.params["max_mb"])
    except Refused as refused:
        module.fail_json(
            msg=f"The archive of release {version} is refused: {refused}. Nothing was switched."
        )
    else:
        for name in ("archive", "signature"):
            Path(module.params[name]).unlink()
        module.exit_json(changed=True, **done)


if __name__ == "__main__":
    main()
