#!/usr/bin/python3
"""Have a certificate of the public CA, renewed by what is left of its life, and served.

    gtsd-acme               issue or renew if needed, then serve it; fails if any of it failed
    gtsd-acme --tolerant    the same, but a renewal that failed early is only a warning
    gtsd-acme --renew       renew now, whatever is left (also with --tolerant)

Settings are in /etc/gtsd/acme.json. A renewal is due when a third of the life is left, whether the
CA gives 90 days, 45 or 6. certbot does the talking; its answer is judged by what lies on the disk
and by what is served afterwards.
"""
# Paths and commands are our own; what is printed is read by Ansible or the journal.
# ruff: noqa: S603, T201

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SETTINGS = Path("/etc/gtsd/acme.json")
EAB_KEY = Path("/etc/gtsd/acme-eab.key")
CERTBOT = Path("/etc/letsencrypt")
LOG = Path("/var/log/letsencrypt/letsencrypt.log")
RENEWAL = CERTBOT / "renewal/gtsd.conf"
LINEAGE = CERTBOT / "live/gtsd"
WEBROOT = Path("/var/lib/gtsd-acme")
DUE_SHARE, WARNING_SHARE = 1 / 3, 1 / 6
# Worth another try at once. Not a name that could not be validated: CAs count those, five an hour.
PASSING = re.compile(
    r"badNonce|serverInternal|Connection (refused|reset|aborted)|RemoteDisconnected|[Tt]imed out"
    r"|Max retries exceeded|Service Unavailable|Bad Gateway"
)
NOISE = re.compile(
    r"Saving debug log|Ask for help|See the logfile|Some challenges|Hint:|Renewing an existing"
    r"|Requesting a certificate|An unexpected error occurred|Account registered|AttributeError: can"
)
# A CA that has forgotten us, as test servers do when they restart.
FORGOTTEN = "accountDoesNotExist"


class Trouble(Exception):
    """What an operator is told."""


@dataclass
class Held:
    """The certificate that certbot got last."""

    names: set[str]
    directory: str
    begins: datetime
    ends: datetime

    @property
    def share_left(self) -> float:
        """What is left of its life, from 1 to 0 and below."""
        return (self.ends - datetime.now(UTC)) / (self.ends - self.begins)


def held() -> Held | None:
    """What lies on the disk; nothing if there was no certificate yet."""
    if not (LINEAGE / "fullchain.pem").exists():
        return None
    command = [
        "openssl",
        "x509",
        "-noout",
        "-dates",
        "-dateopt",
        "iso_8601",
        "-ext",
        "subjectAltName",
        "-in",
        str(LINEAGE / "fullchain.pem"),
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    begins, ends = (
        datetime.fromisoformat(found) for found in re.findall(r"not(?:Before|After)=(.+)", text)
    )
    server = re.search(r"^server = (.+)$", RENEWAL.read_text(), re.MULTILINE)
    return Held(set(re.findall(r"DNS:([^\s,]+)", text)), server[1] if server else "", begins, ends)


def reason(settings: dict[str, Any], now: Held | None, *, forced: bool) -> str | None:
    """Why the CA has to be asked; None when all is well."""
    if now is None:
        return "there is none yet"
    if now.names != set(settings["names"]):
        return "the names changed"
    if now.directory != settings["directory"]:
        return "the CA changed"
    if now.share_left < DUE_SHARE:
        return "its life ends"
    return "it was asked for" if forced else None


def deployment(name: str) -> list[str]:
    """The command that puts certbot's certificate in service."""
    files = [f"{LINEAGE}/fullchain.pem", f"{LINEAGE}/privkey.pem"]
    return ["/usr/local/sbin/gtsd-edge", "deploy", name, *files]


def said_since(offset: int) -> str:
    """What the CA itself said: certbot 2.1 stumbles over some errors and shows only that."""
    try:
        with LOG.open("rb") as log:
            log.seek(offset if offset <= LOG.stat().st_size else 0)
            found = re.findall(
                r"acme\.messages\.Error: (urn:ietf:params:acme:error:.+)",
                log.read().decode(errors="replace"),
            )
    except OSError:
        return ""
    return f" | {found[-1]}" if found else ""


def ask(settings: dict[str, Any], folder: Path) -> str:
    """One order; an empty answer is a good one."""
    lines = {
        "server": settings["directory"],
        "email": settings["email"],
        "domains": ",".join(settings["names"]),
        "cert-name": "gtsd",
        "authenticator": "webroot",
        "webroot-path": WEBROOT,
        "key-type": "ecdsa",
        "elliptic-curve": "secp256r1",
        # For whoever runs certbot by hand. We deploy ourselves: certbot forgives a failed hook.
        "deploy-hook": f'[ -n "$GTSD_ACME" ] || {" ".join(deployment(settings["names"][0]))}',
    }
    if settings["eab_kid"]:
        lines |= {"eab-kid": settings["eab_kid"], "eab-hmac-key": EAB_KEY.read_text().strip()}
    # A file, not arguments: those are in the list of processes.
    config = folder / "certbot.ini"
    config.write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
    environment, offset = (
        {**os.environ, "GTSD_ACME": "1"},
        LOG.stat().st_size if LOG.exists() else 0,
    )
    if settings["ca"]:
        environment["REQUESTS_CA_BUNDLE"] = settings["ca"]
    done = subprocess.run(
        [
            "/usr/bin/certbot",
            "certonly",
            "--config",
            str(config),
            "--non-interactive",
            "--agree-tos",
            "--no-eff-email",
            "--force-renewal",
            "--renew-with-new-domains",
        ],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if not done.returncode:
        return ""
    shown = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    text = " | ".join(line for line in shown if line and not NOISE.match(line))[-1500:]
    return (text or "certbot failed") + said_since(offset)


def forget_account(directory: str) -> bool:
    """Put the account of a CA that does not know it out of the way, for a new one."""
    path = CERTBOT / "accounts" / directory.removeprefix("https://")
    if not path.is_dir():
        return False
    path.rename(path.with_name(f"{path.name}.forgotten-{time.time_ns()}"))
    return True


def order(settings: dict[str, Any]) -> None:
    """Ask until the CA gives a certificate or a reason that will not pass."""
    answer = ""
    for pause in (0.5, 1.0, 2.0, 4.0, None):
        with tempfile.TemporaryDirectory(prefix="gtsd-acme-") as folder:
            answer = ask(settings, Path(folder))
        if not answer:
            return
        known = FORGOTTEN not in answer or not forget_account(settings["directory"])
        if pause is None or (known and not PASSING.search(answer)):
            break
        time.sleep(pause)
    raise Trouble(
        f"{settings['directory']} gives no certificate for "
        f"{', '.join(settings['names'])}: {answer}. {look_around(settings['names'])}"
    )


def look_around(names: list[str]) -> str:
    """What can be seen from here of why the CA may not reach us."""
    seen = []
    token = secrets.token_urlsafe(24)
    folder = WEBROOT / ".well-known/acme-challenge"
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / token
    probe.write_text(token)
    probe.chmod(0o644)
    for name in names:
        try:
            addresses = sorted({str(row[4][0]) for row in socket.getaddrinfo(name, 80)})
        except OSError:
            seen.append(f"{name} is not in DNS, as seen from here")
            continue
        url = f"http://{name}/.well-known/acme-challenge/{token}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                what = "answers" if answer.read().decode() == token else "is answered by another"
        except (OSError, urllib.error.URLError, UnicodeDecodeError) as error:
            what = f"does not answer ({error})"
        seen.append(f"{name} leads to {', '.join(addresses)}, where port 80 {what}, seen from here")
    probe.unlink()
    return (
        "Check that DNS leads each name to the edges and that port 80 is open to the world: "
        + "; ".join(seen)
    )


def serve(name: str) -> dict[str, Any]:
    """Have nginx serve what is on the disk; fails when it does not."""
    done = subprocess.run(deployment(name), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Trouble(done.stderr.strip())
    return dict(json.loads(done.stdout))


def work(*, tolerant: bool, forced: bool) -> dict[str, Any]:
    """Everything, in order."""
    settings = json.loads(SETTINGS.read_text())
    now = held()
    why, warning = reason(settings, now, forced=forced), ""
    if why:
        try:
            order(settings)
        except Trouble as trouble:
            kept = "the self-signed one" if now is None else "the one before"
            message = f"{why}, but {trouble}. {kept[0].upper()}{kept[1:]} stays in service."
            early = now is not None and now.share_left > WARNING_SHARE
            if not (tolerant and early and why in ("its life ends", "it was asked for")):
                if now is not None:
                    with contextlib.suppress(Trouble):
                        serve(settings["names"][0])
                raise Trouble(message) from trouble
            warning = message
    served = serve(settings["names"][0])
    now = held()
    assert now is not None
    return {
        "changed": bool(why and not warning) or served["changed"],
        "why": why or "",
        "warning": warning,
        "serial": served["serial"],
        "ends": now.ends.isoformat(),
        "days_left": (now.ends - datetime.now(UTC)).days,
    }


def main(arguments: list[str]) -> int:
    """The command line."""
    if set(arguments) - {"--tolerant", "--renew"}:
        print(__doc__, file=sys.stderr)
        return 2
    os.umask(0o022)
    with Path("/run/lock/gtsd-acme").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            print(
                json.dumps(work(tolerant="--tolerant" in arguments, forced="--renew" in arguments))
            )
        except (Trouble, OSError, subprocess.SubprocessError) as error:
            print(f"gtsd-acme: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
