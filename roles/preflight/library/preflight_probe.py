#!/usr/bin/python
"""Asks a host everything that preflight wants to know, in one go, and changes nothing.

What is asked arrives as arguments, so that this knows nothing of GTSD; what the answers mean is
decided on the controller, in filter_plugins/preflight_verdict.py.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import ssl
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

PROC = Path("/proc")
_LISTENING = "0A"
_SSL_REQUEST = struct.pack("!II", 8, 80877103)


def system() -> dict[str, str]:
    """The distribution and its version, as the host says."""
    lines = Path("/etc/os-release").read_text().splitlines()
    pairs = dict(line.split("=", 1) for line in lines if "=" in line)
    return {name: pairs.get(name, "").strip('"') for name in ("ID", "VERSION_ID", "PRETTY_NAME")}


def memory_mb() -> int:
    """What this host may use; a container has less than its machine."""
    total = int((PROC / "meminfo").read_text().split()[1]) // 1024
    with contextlib.suppress(OSError, ValueError):
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        total = min(total, limit // 2**20)
    return total


def sockets() -> dict[str, int]:
    """The ports that something listens on, by the number of the socket."""
    found = {}
    for name in ("net/tcp", "net/tcp6"):
        with contextlib.suppress(OSError):
            for line in (PROC / name).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING:
                    found[fields[9]] = int(fields[1].rsplit(":", 1)[1], 16)
    return found


def listeners() -> dict[str, list[str]]:
    """The programs behind each port that is listened on."""
    inodes = sockets()
    programs: dict[str, set[str]] = {str(port): set() for port in inodes.values()}
    for process in PROC.glob("[0-9]*"):
        # A process may end while it is looked at.
        with contextlib.suppress(OSError):
            for link in (process / "fd").iterdir():
                target = str(link.readlink())
                inode = target[8:-1] if target.startswith("socket:[") else ""
                if inode in inodes:
                    programs[str(inodes[inode])].add((process / "comm").read_text().strip())
    return {port: sorted(names) for port, names in programs.items()}


def resolved(name: str) -> list[str]:
    """The addresses of a name, as this host's resolver gives them."""
    try:
        return sorted({str(a[4][0]) for a in socket.getaddrinfo(name, None, 0, socket.SOCK_STREAM)})
    except OSError:
        return []


def reached(link: dict[str, Any], timeout: float) -> str:
    """open, refused (the host answers, nothing listens) or what else came."""
    try:
        socket.create_connection((link["address"], int(link["port"])), timeout).close()
        return "open"
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return "timeout" if isinstance(error, TimeoutError) else (error.strerror or str(error))


def unverified() -> ssl.SSLContext:
    """Nothing that comes is believed: what is served is only compared with the disk."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def served(door: dict[str, Any], timeout: float) -> str:
    """The SHA-256 of the certificate that a port serves; empty when it serves none."""
    try:
        with socket.create_connection((door["address"], int(door["port"])), timeout) as plain:
            if door.get("postgresql"):
                plain.sendall(_SSL_REQUEST)
                plain.recv(1)
            with unverified().wrap_socket(plain, server_hostname=door["name"]) as secure:
                return hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()
    except OSError:
        return ""


def answered(page: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Status and beginning of what a page answers; status 0 when nothing does."""
    request = f"GET {page['path']} HTTP/1.1\r\nHost: {page['name']}\r\nConnection: close\r\n\r\n"
    address = (page["address"], int(page["port"]))
    try:
        with contextlib.ExitStack() as stack:
            wire = stack.enter_context(socket.create_connection(address, timeout))
            if page.get("tls"):
                wire = stack.enter_context(
                    unverified().wrap_socket(wire, server_hostname=page["name"])
                )
            wire.sendall(request.encode())
            head, _, body = wire.makefile("rb").read(4096).partition(b"\r\n\r\n")
        return {"status": int(head.split()[1]), "text": body.decode(errors="replace")[:200]}
    except (OSError, ValueError, IndexError) as error:
        return {"status": 0, "text": str(error)[:200]}


def certificate(module: Any, path: str) -> dict[str, Any]:
    """From when, until when and which one; without `until` when it cannot be read."""
    if not Path(path).exists():
        return {"path": path, "why": "there is none"}
    program = shutil.which("openssl")
    if program is None:
        return {"path": path, "why": "openssl is not installed"}
    command = [program, "x509", "-in", path, "-noout", "-dates", "-fingerprint", "-sha256"]
    code, out, _ = module.run_command(command)
    says = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    if code != 0 or "notAfter" not in says:
        return {"path": path, "why": "it is not a certificate"}
    print_ = next(says[key] for key in says if key.lower().endswith("fingerprint"))
    return {
        "path": path,
        "from": ssl.cert_time_to_seconds(says["notBefore"]),
        "until": ssl.cert_time_to_seconds(says["notAfter"]),
        "sha256": print_.replace(":", "").lower(),
    }


def ran(module: Any, command: list[str]) -> dict[str, Any]:
    """Exit status and last lines of a command that only reads; -1 when it is not installed."""
    if not Path(command[0]).exists():
        return {"rc": -1, "text": "not installed"}
    code, out, err = module.run_command(command)
    return {"rc": code, "text": "\n".join(f"{out}\n{err}".strip().splitlines()[-12:])}


def probe(module: Any) -> dict[str, Any]:
    """All answers, by the name of the argument that asked."""
    asked = module.params
    wait = asked["timeout"]
    with ThreadPoolExecutor(16) as pool:
        links = pool.map(lambda link: reached(link, wait), asked["links"])
        doors = pool.map(lambda door: served(door, wait), asked["doors"])
        pages = pool.map(lambda page: answered(page, wait), asked["pages"])
        return {
            "now": time.time(),
            "system": system(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_mb": memory_mb(),
            "disk_free_mb": shutil.disk_usage("/var/lib").free // 2**20,
            "listeners": listeners(),
            "paths": [path for path in asked["paths"] if Path(path).exists()],
            "resolved": resolved(asked["resolve"]) if asked["resolve"] else [],
            "certificates": [certificate(module, path) for path in asked["certificates"]],
            "commands": {c["name"]: ran(module, c["argv"]) for c in asked["commands"]},
            "links": [{**link, "state": state} for link, state in zip(asked["links"], links)],
            "doors": [{**door, "sha256": value} for door, value in zip(asked["doors"], doors)],
            "pages": [{**page, **answer} for page, answer in zip(asked["pages"], pages)],
        }


def main() -> None:
    """Answer, in check mode too: nothing is changed in either."""
    # Here, so that the rest can be tried without Ansible.
    from ansible.module_utils.basic import AnsibleModule

    lists = {"type": "list", "elements": "dict", "default": []}
    names = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "resolve": {"type": "str", "default": ""},
            "paths": names,
            "certificates": names,
            "commands": lists,
            "links": lists,
            "doors": lists,
            "pages": lists,
            "timeout": {"type": "float", "default": 3.0},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, probe=probe(module))


if __name__ == "__main__":
    main()
