"""What the machine offers to the embedded servers: programs, an account, ports, folders."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import stat
from pathlib import Path
from typing import NamedTuple

from gtsd.dev.errors import DevError

# PostgreSQL refuses to run as root, and initdb wants an account that has a name. This one is on
# every system, owns nothing else, and needs no change to the machine.
_ACCOUNT = "nobody"


class Account(NamedTuple):
    """Whom a server runs as."""

    name: str
    user: int
    group: int


class Program(NamedTuple):
    """A server that comes in a Python package: the folder in it, and the program in that folder."""

    distribution: str
    package: str
    folder: str
    path: str


def unprivileged_account() -> Account | None:
    """The account to run servers under, or None when we are not root and stay who we are."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(_ACCOUNT)
    except KeyError:
        raise DevError(
            f"As root the embedded servers run under the account {_ACCOUNT}, which this machine "
            "does not have; run this as an ordinary user."
        ) from None
    return Account(_ACCOUNT, entry.pw_uid, entry.pw_gid)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment.

    It is below those that the kernel gives to outgoing connections. With one of those, a client
    that tries again and again while its server is away would one day be connected to itself.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        if not port_is_taken(port):
            return port


def port_is_taken(port: int, address: str = "127.0.0.1") -> bool:
    """Whether we could not listen on that TCP port."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        # Connections that have just ended do not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return True
    return False


def make_folder(folder: Path, account: Account | None = None) -> None:
    """Create it closed to others, or take it over for the account; raises DevError."""
    try:
        for parent in reversed([path for path in folder.parents if not path.exists()]):
            parent.mkdir()
            # Whatever the umask says: the servers' account has to pass through.
            parent.chmod(0o755)
        folder.mkdir(mode=0o700, exist_ok=True)
        if account is not None:
            os.chown(folder, account.user, account.group)
    except OSError as error:
        raise DevError(
            f"The folder {folder} cannot be used ({error.strerror}); "
            "name another one with GTSD_STATE_DIR."
        ) from None
    if account is None and not os.access(folder, os.W_OK | os.X_OK):
        raise DevError(
            f"The folder {folder} cannot be written to; name another one with GTSD_STATE_DIR."
        )


def closed_parent(folder: Path, account: Account) -> Path | None:
    """The first step on the way to it that the account may not enter, or None."""
    for parent in reversed([folder, *folder.resolve().parents]):
        if not _may_enter(parent.stat(), account):
            return parent
    return None


def _may_enter(entry: os.stat_result, account: Account) -> bool:
    if entry.st_uid == account.user:
        return bool(entry.st_mode & stat.S_IXUSR)
    if entry.st_gid == account.group:
        return bool(entry.st_mode & stat.S_IXGRP)
    return bool(entry.st_mode & stat.S_IXOTH)


def install(program: Program, account: Account | None, folder: Path) -> Path:
    """The program's folder as the account can execute it; raises DevError when not installed.

    A checkout under /root is closed to every other account, so that the programs in its virtual
    environment cannot be executed after root's rights are dropped. Then they are put into
    ``folder`` once, as hard links where the file system allows, else as copies.
    """
    spec = importlib.util.find_spec(program.package)
    if spec is None or not spec.submodule_search_locations:
        raise DevError(
            f"The package {program.distribution} is not installed, or not made for this machine "
            f"({os.uname().machine}); start with `make run`, or name your own server in the "
            "environment."
        )
    source = Path(spec.submodule_search_locations[0], program.folder)
    if account is None or closed_parent(source / program.path, account) is None:
        return source
    version = importlib.metadata.version(program.distribution)
    copy = folder / f"{program.distribution}-{version}"
    if not copy.exists():
        unfinished = copy.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(source, unfinished, symlinks=True, copy_function=_link_or_copy)
        for inner in (unfinished, *unfinished.rglob("*")):
            if inner.is_dir() and not inner.is_symlink():
                inner.chmod(0o755)
        unfinished.rename(copy)
    return copy


def _link_or_copy(source: str, target: str) -> None:
    mode = stat.S_IMODE(os.lstat(source).st_mode)
    if mode & stat.S_IROTH:
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError:
            shutil.copy2(source, target, follow_symlinks=False)
    else:
        # Installed under a umask such as 077: what the owner may do, the account has to.
        shutil.copy2(source, target, follow_symlinks=False)
        Path(target).chmod(mode | (mode & stat.S_IRWXU) >> 6)
