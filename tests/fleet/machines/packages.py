"""Where packages come from: what this machine's own apt is set to, read when it is needed."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from tests.fleet.machines.commands import Refused, run

_PEM = re.compile(r"-----BEGIN CERT.+?-----END CERTIFICATE-----\n", re.DOTALL)
_TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")
_OWN = Path("/usr/local/share/ca-certificates")
# Settings without which the same mirror would not answer a host of the rehearsal.
_CARRIED = re.compile(
    r"^Acquire::(?:https?::(?:Proxy|Verify-Peer|Verify-Host)(?:::[^ ]+)?|Check-(?:Date|Valid-Until)"
    r') ".+";$',
    re.IGNORECASE,
)
_PROXY = re.compile(r'^Acquire::https?::Proxy(?:::[^ ]+)? "(http.+)";$', re.IGNORECASE)


@dataclass(frozen=True)
class Mirrors:
    """The addresses of Debian's archives; the second one is missing on some machines."""

    main: str
    security: str | None

    def sources(self, suite: str) -> str:
        """The sources of a host with this release."""
        parts = [(self.main, f"{suite} {suite}-updates")]
        if self.security:
            parts.append((self.security, f"{suite}-security"))
        return "\n".join(
            f"Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\n"
            "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
            for uri, suites in parts
        )


def parse_mirrors(targets: str) -> Mirrors:
    """Out of lines of ``URI ORIGIN LABEL``; the first of each kind counts."""
    rows = [line.split() for line in targets.splitlines()]
    debian = [row for row in rows if len(row) >= 3 and row[1] == "Debian"]
    main = [row[0] for row in debian if row[2] == "Debian"]
    security = [row[0] for row in debian if row[2] == "Debian-Security"]
    if not main:
        raise Refused("This machine's apt knows no Debian archive; see /etc/apt/sources.list.d.")
    return Mirrors(main[0], security[0] if security else None)


def mirrors() -> Mirrors:
    """This machine's; its lists are fetched first where there are none."""
    question = ("apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(LABEL)")
    try:
        return parse_mirrors(run(*question))
    except Refused:
        run("apt-get", "-q", "update")
        return parse_mirrors(run(*question))


def carried_settings(dump: str, environment: dict[str, str]) -> list[str]:
    """The lines of apt's configuration that the hosts get as well."""
    lines = [line for line in dump.splitlines() if _CARRIED.match(line)]
    for kind in ("http", "https"):
        proxy = environment.get(f"{kind}_proxy")
        if proxy and not any(line.lower().startswith(f"acquire::{kind}::proxy ") for line in lines):
            lines.append(f'Acquire::{kind}::Proxy "{proxy}";')
    return lines


def settings() -> list[str]:
    """Of this machine."""
    return carried_settings(run("apt-config", "dump"), dict(os.environ))


def destinations(urls: Iterable[str]) -> set[tuple[str, int]]:
    """Hosts and ports that must be reached for these URLs."""
    parts: Iterable[SplitResult] = map(urlsplit, urls)
    return {
        (part.hostname, part.port or (443 if part.scheme == "https" else 80))
        for part in parts
        if part.hostname
    }


def wanted() -> set[tuple[str, int]]:
    """What a host must reach to install packages: the mirrors, or the proxies before them."""
    found = mirrors()
    urls = [url for url in (found.main, found.security) if url]
    urls += [match[1] for line in settings() if (match := _PROXY.match(line))]
    return destinations(urls)


def addresses(places: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
    """The same, by address."""
    found = set()
    for host, port in places:
        try:
            answers = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)
        except OSError as error:
            raise Refused(f"The package archive {host} cannot be resolved: {error}.") from error
        found |= {(str(answer[4][0]), port) for answer in answers}
    return found


def resolver_file() -> Path:
    """The resolver's settings, past a cache that answers only on this machine's loopback."""
    behind = Path("/run/systemd/resolve/resolv.conf")
    plain = Path("/etc/resolv.conf")
    return behind if "127.0.0.53" in plain.read_text() and behind.exists() else plain


def nameservers(resolver: str) -> list[str]:
    """Those that a host of the rehearsal can ask."""
    found = re.findall(r"^nameserver\s+([0-9.]+)\s*$", resolver, re.MULTILINE)
    return [address for address in found if not address.startswith("127.")]


def extra_authorities(image: Path) -> str:
    """What this machine trusts and the image does not, as a row of certificates."""

    def certificates(bundle: Path) -> list[str]:
        return _PEM.findall(bundle.read_text()) if bundle.exists() else []

    known = set(certificates(image / _TRUSTED.relative_to("/")))
    own = [pem for path in sorted(_OWN.glob("*.crt")) for pem in certificates(path)]
    return "".join(dict.fromkeys(pem for pem in own if pem not in known))
