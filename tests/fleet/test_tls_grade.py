"""testssl.sh finds nothing worse than LOW at the edge, and would find it if there was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.machines.places import Places
from tests.fleet.machines.shapes import PUBLIC_NAME
from tests.fleet.machines.tested import TestedFleet

pytestmark = [pytest.mark.both_releases, pytest.mark.timeout(300)]

PROGRAM = shutil.which("testssl") or shutil.which("testssl.sh")
# Severities in testssl's words; WARN is a check that its own openssl could not make.
FINE = {"OK", "INFO", "LOW", "WARN"}
# What the rehearsal's CA is to blame for, and no other: Pebble signs for five years and has no CRL.
OF_THE_TEST_CA = {"cert_validityPeriod", "cert_revocation", "cert_extlifeSpan"}
ALL = ["-p", "-s", "-f", "-P", "-S", "-h", "-U"]
WEAK_PORT = 8445
WEAK = f"""
pid /run/weak-edge.pid;
error_log /dev/null;
events {{}}
http {{
    access_log off;
    server {{
        listen 127.0.0.1:{WEAK_PORT} ssl;
        ssl_protocols TLSv1 TLSv1.1 TLSv1.2;
        ssl_ciphers ALL:@SECLEVEL=0;
        ssl_certificate /etc/gtsd/tls/fullchain.pem;
        ssl_certificate_key /etc/gtsd/tls/privkey.pem;
        return 200;
    }}
}}
"""


def findings(
    fleet: TestedFleet, source: str | None, address: str, port: int, checks: list[str], folder: Path
) -> list[dict[str, Any]]:
    """What testssl.sh says, as it writes it for machines."""
    assert PROGRAM, "Debian's package testssl.sh is missing: apt-get install testssl.sh"
    file = folder / "found.json"
    command = [PROGRAM, "--quiet", "--warnings", "off", "--color", "0", "--nodns", "none"]
    # The path: the API gives its headers with a 404, too, but a good answer is what clients get.
    command += ["--jsonfile", str(file), "--ip", address, *checks]
    command += ["--add-ca", str(Places(fleet.name).public_ca)]
    command += [f"https://{PUBLIC_NAME}:{port}/health"]
    done = fleet.run_beside(source, command, timeout=200)
    assert file.exists(), done.stdout + done.stderr
    found: list[dict[str, Any]] = json.loads(file.read_text())
    return found


def bad(found: list[dict[str, Any]]) -> list[str]:
    """Those that are worse than LOW."""
    return [
        f"{one['severity']} {one['id']}: {one['finding']}"
        for one in found
        if one["severity"] not in FINE and one["id"] not in OF_THE_TEST_CA
    ]


def test_nothing_is_worse_than_low(fleet: TestedFleet, tmp_path: Path) -> None:
    """Protocols, ciphers, forward secrecy, defaults, headers and every known attack."""
    address = fleet.address(fleet.names("edge")[0])
    found = findings(fleet, None, address, 443, ALL, tmp_path)
    assert len(found) > 60, "testssl.sh gave up early"
    told = {one["id"]: one["finding"] for one in found}
    assert told["TLS1_3"].startswith("offered")
    # Only LOW in testssl's eyes, and still not wanted.
    for old in ("SSLv2", "SSLv3", "TLS1", "TLS1_1"):
        assert told[old].startswith("not offered"), old
    assert not bad(found), "\n".join(bad(found))


def test_a_weak_server_is_found(fleet: TestedFleet, tmp_path: Path) -> None:
    """The control: TLS 1.0 and every cipher, beside the edge, on its loopback."""
    edge = fleet.names("edge")[0]
    host = fleet.host(edge)
    host.check_output("printf '%%s' %s > /run/weak-edge.conf", WEAK)
    # A forking nginx listens by the time that it is called started.
    host.check_output(
        "systemd-run --quiet --collect --unit=weak-edge --property=Type=forking "
        "--property=PIDFile=/run/weak-edge.pid nginx -c /run/weak-edge.conf"
    )
    try:
        found = findings(fleet, edge, "127.0.0.1", WEAK_PORT, ["-p", "-s"], tmp_path)
    finally:
        host.check_output("systemctl stop weak-edge; rm -f /run/weak-edge.conf")
    assert {one["id"]: one["finding"] for one in found}["TLS1"].startswith("offered")
    assert any("cipherlist_" in one for one in bad(found)), bad(found)
