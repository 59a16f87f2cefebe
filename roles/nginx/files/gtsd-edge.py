#!/usr/bin/python3
"""Make nginx serve what lies on disk, and prove that it does.

    gtsd-edge try NAME FILE          test a configuration before it replaces the live one
    gtsd-edge deploy NAME CHAIN KEY  put another public certificate in place, and serve it
    gtsd-edge settle NAME            reload (or restart) if anything changed since the last load
    gtsd-edge stamp                  note what a starting nginx is about to load (for its unit)

A reload that fails leaves the old workers running and says nothing; a certificate that was renewed
but is not served is an outage that shows weeks later. So each change ends with two proofs: no old
worker takes connections any more, and the certificate that a client gets is the one on disk.
"""
# Paths and commands are our own or come from root; what is printed is read by Ansible.
# ruff: noqa: S603, T201

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

TLS = Path("/etc/gtsd/tls")
# fullchain.pem and privkey.pem are links through this one: both change in one rename.
CURRENT = TLS / "current"
WEBROOT = Path("/var/lib/gtsd-acme")
RUN = Path("/run/nginx")
PID, STAMP = RUN / "nginx.pid", RUN / "loaded.json"
UNIT = [Path("/etc/systemd/system/nginx.service.d/gtsd.conf")]
LOADED = [
    Path("/etc/nginx/nginx.conf"),
    TLS / "fullchain.pem",
    TLS / "privkey.pem",
    Path("/etc/gtsd/pki/ca.pem"),
    Path("/etc/gtsd/pki/nginx/cert.pem"),
    Path("/etc/gtsd/pki/nginx/key.pem"),
]
KEPT_VERSIONS, WAIT_S = 3, 15.0


class Trouble(Exception):
    """What an operator is told."""


def run(*command: str) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Trouble(f"{' '.join(command[:3])}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def digest(paths: list[Path]) -> str:
    """One word for the content of all the files; a file that is missing counts, too."""
    total = hashlib.sha256()
    for path in paths:
        total.update(str(path).encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest() if path.exists() else b"-")
    return total.hexdigest()


def stamp() -> dict[str, str]:
    """What nginx would load now."""
    return {"unit": digest(UNIT), "loaded": digest(LOADED)}


def write_stamp(content: dict[str, str]) -> None:
    """Keep it beside the pid; both go when nginx stops. Half of one counts as none."""
    STAMP.write_text(json.dumps(content))


def read_stamp() -> dict[str, str]:
    """What was noted last; nothing for an nginx that was started without our unit."""
    try:
        return dict(json.loads(STAMP.read_text()))
    except (OSError, ValueError):
        return {}


def serial(der: bytes) -> str:
    """The serial number, as certbot and the CA's log write it."""
    command = ["/usr/bin/openssl", "x509", "-inform", "DER", "-noout", "-serial"]
    done = subprocess.run(command, input=der, capture_output=True, check=True)
    return done.stdout.decode().strip().removeprefix("serial=").lower()


def put_in_place(chain: str, key: str) -> bool:
    """Install a pair as a new version and switch to it; False when it is there already."""
    if CURRENT.exists() and (CURRENT / "fullchain.pem").read_text() == chain:
        return False
    folder = TLS / f"{time.time_ns()}"
    folder.mkdir(mode=0o750)
    for name, text, mode in (("fullchain.pem", chain, 0o644), ("privkey.pem", key, 0o640)):
        with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT, mode), "w") as file:
            file.write(text)
            os.fsync(file.fileno())
    # A pair that does not belong together would stop nginx at the next boot.
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
        folder / "fullchain.pem", folder / "privkey.pem"
    )
    switch(folder)
    return True


def switch(folder: Path) -> None:
    """Point everything to one version, in one step."""
    for link, target in (
        (CURRENT, folder.name),
        *((TLS / n, f"current/{n}") for n in ("fullchain.pem", "privkey.pem")),
    ):
        if link.is_symlink() and str(link.readlink()) == target:
            continue
        draft = link.with_name(f".{link.name}.new")
        draft.unlink(missing_ok=True)
        draft.symlink_to(target)
        draft.replace(link)


def prune() -> None:
    """Keep the last versions for somebody who has to look."""
    versions = sorted(path for path in TLS.iterdir() if path.is_dir() and not path.is_symlink())
    for path in versions[:-KEPT_VERSIONS]:
        if path.name != str(CURRENT.readlink()):
            shutil.rmtree(path)


def prepare(name: str) -> bool:
    """Have folders and, until the CA gives another, a certificate of our own making.

    nginx does not start without one, and the CA asks nginx before it gives one.
    """
    RUN.mkdir(mode=0o755, exist_ok=True)
    WEBROOT.mkdir(mode=0o755, exist_ok=True)
    TLS.mkdir(mode=0o750, parents=True, exist_ok=True)
    if all((TLS / file).exists() for file in ("fullchain.pem", "privkey.pem")):
        return False
    kept = sorted(path for path in TLS.glob("*/privkey.pem") if not path.parent.is_symlink())
    if kept and (kept[-1].parent / "fullchain.pem").exists():
        switch(kept[-1].parent)
        return True
    draft = TLS / ".self-signed"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    words = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 "
        f"-addext subjectAltName=DNS:{name} -keyout {draft}/key -out {draft}/chain -subj"
    )
    run("/usr/bin/openssl", *words.split(), f"/O=gtsd self-signed/CN={name[:64]}")
    put_in_place((draft / "chain").read_text(), (draft / "key").read_text())
    shutil.rmtree(draft)
    return True


def workers() -> tuple[int, set[int]]:
    """The master, and those of its workers that take connections."""
    try:
        master = int(PID.read_text())
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    except (OSError, ValueError) as error:
        raise Trouble("nginx does not run: see journalctl -u nginx") from error
    taking = set()
    for child in map(int, children):
        try:
            title = Path(f"/proc/{child}/cmdline").read_text()
        except OSError:
            continue
        if "worker process" in title and "shutting down" not in title:
            taking.add(child)
    return master, taking


def reload() -> None:
    """Load what is on disk, and see that only new workers take connections."""
    run("/usr/sbin/nginx", "-t", "-q")
    content, before = stamp(), workers()
    run("/usr/bin/systemctl", "reload", "nginx.service")
    ends = time.monotonic() + WAIT_S
    while time.monotonic() < ends:
        master, taking = workers()
        if taking and master == before[0] and not taking & before[1]:
            write_stamp(content)
            return
        time.sleep(0.05)
    raise Trouble(
        "nginx was told to reload, but its old workers still take connections: "
        "the old configuration is served; see /var/log/nginx/error.log"
    )


def restart() -> None:
    """For what a reload cannot change: the unit."""
    run("/usr/sbin/nginx", "-t", "-q")
    run("/usr/bin/systemctl", "daemon-reload")
    run("/usr/bin/systemctl", "restart", "nginx.service")


def served(name: str) -> bytes:
    """The certificate that a client gets here for the name."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # which one it is, is the question
    with (
        socket.create_connection(("127.0.0.1", 443), timeout=5) as raw,
        context.wrap_socket(raw, server_hostname=name) as secured,
    ):
        return secured.getpeercert(binary_form=True) or b""


def prove(name: str) -> str:
    """The serial that is served, which must be that on disk."""
    ends = time.monotonic() + WAIT_S
    first, end, _ = (TLS / "fullchain.pem").read_text().partition("-----END CERTIFICATE-----")
    on_disk = ssl.PEM_cert_to_DER_cert(first + end)
    while True:
        try:
            now = served(name)
        except OSError as error:
            if time.monotonic() > ends:
                raise Trouble(f"nobody answers for {name} on port 443: {error}") from error
        else:
            if now == on_disk:
                return serial(now)
            if time.monotonic() > ends:
                raise Trouble(
                    f"certificate {serial(now)} is served for {name}, "
                    f"but {serial(on_disk)} is on disk"
                )
        time.sleep(0.1)


def settle(name: str) -> dict[str, object]:
    """Bring what runs to what is on disk; tells what had to be done."""
    made = prepare(name)
    noted, wanted, action = read_stamp(), stamp(), "nothing"
    if noted.get("unit") != wanted["unit"]:
        action = "restart"
        restart()
    elif noted.get("loaded") != wanted["loaded"]:
        action = "reload"
        reload()
    return {"changed": made or action != "nothing", "action": action, "serial": prove(name)}


def try_out(name: str, file: str) -> dict[str, object]:
    """Let nginx read a configuration as it would the live one."""
    prepare(name)
    run("/usr/sbin/nginx", "-t", "-q", "-c", file)
    return {"changed": False}


def deploy(name: str, chain: str, key: str) -> dict[str, object]:
    """Serve another certificate; the one before stays if nginx does not take it."""
    before = CURRENT.resolve() if CURRENT.exists() else None
    put_in_place(Path(chain).read_text(), Path(key).read_text())
    try:
        run("/usr/sbin/nginx", "-t", "-q")
    except Trouble:
        if before is not None:
            switch(before)
        raise
    prune()
    return settle(name)


VERBS: dict[str, Callable[..., dict[str, object]]] = {
    "try": try_out,
    "deploy": deploy,
    "settle": settle,
}


def main(arguments: list[str]) -> int:
    """The command line; one of them at a time."""
    os.umask(0o022)
    verb, *rest = arguments
    if verb == "stamp":
        write_stamp(stamp())
        return 0
    with Path("/run/lock/gtsd-edge").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            print(json.dumps(VERBS[verb](*rest)))
        except (Trouble, OSError, ssl.SSLError, subprocess.SubprocessError) as error:
            print(f"gtsd-edge {verb}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
