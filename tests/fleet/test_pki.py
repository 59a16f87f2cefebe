"""The internal CA stays where it is, its certificates are right, and what spoils one is mended."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.fleet.machines.tested import TestedFleet
from tests.fleet.wrong_peers import Authority, Identity

PKI = "/etc/gtsd/pki"
# Which port shows which leaf, and how TLS begins there.
SERVED = {"redis": (6379, ""), "patroni": (8008, ""), "postgresql": (5432, "postgresql")}
LEAVES = {
    "database": ("etcd", "patroni", "postgresql"),
    "cache": ("redis",),
    "app": ("haproxy",),
    "edge": ("nginx",),
}

pytestmark = [pytest.mark.shape("small", "full"), pytest.mark.both_releases]


def _leaves(fleet: TestedFleet) -> Iterator[tuple[str, str]]:
    for group, leaves in LEAVES.items():
        for host in fleet.names(group):
            for leaf in leaves:
                yield host, leaf


@pytest.fixture(scope="module")
def folder(fleet: TestedFleet) -> Path:
    """Role pki's folder on this machine, the controller."""
    return fleet.state / "pki"


@pytest.fixture(scope="module")
def authority(fleet: TestedFleet, folder: Path) -> Authority:
    """The CA that signs."""
    return Authority.of_fleet(folder, fleet.secrets["pki_ca_passphrase"])


def test_the_ca_key_lies_encrypted_on_the_controller(fleet: TestedFleet, folder: Path) -> None:
    """Nobody but its owner may read it, and that is of no use without the passphrase."""
    keys = list(folder.glob("ca-*.key"))
    assert keys
    for key in keys:
        assert key.stat().st_mode & 0o777 == 0o600
        with pytest.raises(TypeError):
            serialization.load_pem_private_key(key.read_bytes(), None)
        with pytest.raises(ValueError, match="password"):
            serialization.load_pem_private_key(key.read_bytes(), b"another passphrase")
        serialization.load_pem_private_key(
            key.read_bytes(), fleet.secrets["pki_ca_passphrase"].encode()
        )
    others = [path.name for path in folder.iterdir() if not path.name.startswith("ca-")]
    assert set(others) <= {"signing"}


def test_no_host_has_seen_the_ca_key(fleet: TestedFleet, folder: Path) -> None:
    """Neither the key, in any form, nor its passphrase lies on a host's disk."""
    encrypted = next(folder.glob("ca-*.key")).read_text().splitlines()[1]
    canary = fleet.secrets["pki_ca_passphrase"]
    patterns = f"{encrypted}\n{canary}\nENCRYPTED PRIVATE KEY\n"
    encoded = base64.b64encode(patterns.encode()).decode()
    for host in fleet.names():
        search = (
            f"echo {encoded} | base64 -d > /run/patterns;"
            "grep -rlsFI --exclude-dir=share --exclude-dir=python3 --exclude-dir=site-packages"
            " -f /run/patterns /etc /home /opt /root /tmp /var /srv; rm /run/patterns"
        )
        assert fleet.host(host).run(search).stdout == "", host


def test_keys_are_for_their_service_alone(fleet: TestedFleet) -> None:
    """Root writes, the group of the service reads, and nobody else gets into the folder."""
    for host, leaf in _leaves(fleet):
        inside = fleet.host(host)
        place, key = inside.file(f"{PKI}/{leaf}"), inside.file(f"{PKI}/{leaf}/key.pem")
        assert (place.user, place.mode) == ("root", 0o750), (host, leaf)
        assert (key.user, key.mode, key.group) == ("root", 0o640, place.group), (host, leaf)
        assert inside.file(f"{PKI}/{leaf}/cert.pem").mode == 0o644
        assert inside.run(f"runuser -u nobody -- cat {PKI}/{leaf}/key.pem").rc != 0


def test_certificates_pass_the_strict_checks(fleet: TestedFleet) -> None:
    """As Python 3.13 makes them, with the names that clients ask for, and for thirty days."""
    for host, leaf in _leaves(fleet):
        inside = fleet.host(host)
        pem = f"{PKI}/{leaf}/cert.pem"
        inside.check_output(f"openssl verify -x509_strict -CAfile {PKI}/ca.pem {pem}")
        parsed = x509.load_pem_x509_certificate(inside.file(pem).content)
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        wanted = {f"{host}.gtsd.internal", host, "localhost"}
        assert wanted <= set(names.get_values_for_type(x509.DNSName)), (host, leaf)
        addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
        assert {fleet.address(host), "127.0.0.1"} <= addresses
        assert (parsed.not_valid_after_utc - parsed.not_valid_before_utc).days == 30


def test_a_timer_warns_before_a_certificate_ends(fleet: TestedFleet, authority: Authority) -> None:
    """Its unit fails, where systemctl and the monitoring see it; with time left it does not."""
    host = fleet.names("database")[0]
    inside = fleet.host(host)
    for _, leaf in (pair for pair in _leaves(fleet) if pair[0] == host):
        assert inside.service(f"gtsd-certificate@{leaf}.timer").is_enabled
        inside.check_output(f"systemctl start gtsd-certificate@{leaf}.service")
    short = authority.issue(Identity("short", f"{host}.gtsd.internal"), days=5)
    try:
        _write(fleet, host, f"{PKI}/short/cert.pem", short)
        assert inside.run("systemctl start gtsd-certificate@short.service").rc != 0
        told = inside.check_output("journalctl -u gtsd-certificate@short -p warning -o cat")
        assert "Certificate will expire" in told
        assert "notAfter=" in told
    finally:
        inside.run(f"rm -r {PKI}/short; systemctl reset-failed gtsd-certificate@short.service")


@pytest.mark.shape("small", "full")
def test_renewing_changes_nothing_that_is_right(fleet: TestedFleet) -> None:
    """And what is asked for by hand is served right after: each server shows what is on disk."""
    play = fleet.play("renew.yml")
    assert (play.rc, play.changed) == (0, 0), play.stdout
    play = fleet.play("renew.yml", "-e", "pki_renew_all=true")
    assert play.rc == 0, play.stdout
    _all_served(fleet)


@pytest.mark.shape("small", "full")
def test_whatever_spoils_a_certificate_is_mended(fleet: TestedFleet, authority: Authority) -> None:
    """Half written, another's key, another CA, too open, nearly over: one run puts all right."""
    host = fleet.names("database")[0]
    cache = fleet.names("cache")[0]
    whom = Identity("redis", f"{cache}.gtsd.internal")
    inside = fleet.host(host)
    inside.check_output(f"truncate -s 200 {PKI}/etcd/cert.pem")
    inside.check_output(f"chmod 0644 {PKI}/postgresql/key.pem")
    _write(fleet, host, f"{PKI}/patroni/cert.pem", authority.impostor().issue(whom))
    _write(fleet, cache, f"{PKI}/redis/cert.pem", authority.issue(whom, expired=True))
    play = fleet.play("renew.yml")
    assert play.rc == 0, play.stdout
    for reason in ("something is missing or has other rights", "the key is unreadable or not of"):
        assert reason in play.stdout
    assert "less than a third of its life is left" in play.stdout
    _all_served(fleet)
    test_keys_are_for_their_service_alone(fleet)
    again = fleet.play("renew.yml")
    assert (again.rc, again.changed) == (0, 0), again.stdout


@pytest.mark.shape("small", "full")
def test_a_run_that_was_killed_before_its_reload_is_made_up_for(fleet: TestedFleet) -> None:
    """Only the mark tells: the files are right, and the server shows the old certificate."""
    cache = fleet.names("cache")[0]
    inside = fleet.host(cache)
    inside.check_output(f"cp -a {PKI}/redis /run/before; truncate -s 200 {PKI}/redis/cert.pem")
    assert fleet.play("renew.yml").rc == 0
    served = _serial_served(fleet, cache, "redis")
    inside.check_output(f"cp -a /run/before/cert.pem {PKI}/redis/cert.pem; rm -r /run/before")
    assert _serial(fleet, cache, "redis") != served
    _write(fleet, cache, f"{PKI}/redis/unserved-certificate", "")
    assert fleet.play("renew.yml").rc == 0
    assert not inside.file(f"{PKI}/redis/unserved-certificate").exists
    _all_served(fleet)


def test_a_wrong_passphrase_is_refused_before_anything_changes(fleet: TestedFleet) -> None:
    """The message says what to do, and does not show what was given."""
    play = fleet.play("renew.yml", "-e", "pki_ca_passphrase=canary-0123456789-0123456789")
    assert (play.rc != 0, play.changed) == (True, 0)
    assert "pki_ca_passphrase does not open" in play.stdout
    assert "canary-0123456789-0123456789" not in play.stdout


def test_a_lost_key_is_refused_with_the_way_out(fleet: TestedFleet, folder: Path) -> None:
    """Before a leaf is due, which would be too late."""
    key = next(folder.glob("ca-*.key"))
    with _away(key):
        play = fleet.play("renew.yml")
        assert (play.rc != 0, play.changed) == (True, 0)
        assert "playbooks/rotate-ca.yml" in play.stdout


@contextmanager
def _away(path: Path) -> Iterator[None]:
    aside = path.with_suffix(".aside")
    path.rename(aside)
    try:
        yield
    finally:
        aside.rename(path)


def _write(fleet: TestedFleet, host: str, path: str, content: str) -> None:
    encoded = base64.b64encode(content.encode()).decode()
    folder = Path(path).parent
    command = f"mkdir -p {folder} && echo {encoded} | base64 -d > {path}"
    assert fleet.host(host).run(command).rc == 0


def _serial(fleet: TestedFleet, host: str, leaf: str) -> int:
    content = fleet.host(host).file(f"{PKI}/{leaf}/cert.pem").content
    return x509.load_pem_x509_certificate(content).serial_number


def _serial_served(fleet: TestedFleet, host: str, leaf: str) -> int:
    port, begin = SERVED[leaf]
    script = (
        "import socket, ssl, json\n"
        f"s = socket.create_connection(('{fleet.address(host)}', {port}), 5)\n"
        f"if {begin!r}: s.sendall(bytes([0, 0, 0, 8, 4, 210, 22, 47])); s.recv(1)\n"
        "c = ssl._create_unverified_context()\n"
        "print(json.dumps(ssl.DER_cert_to_PEM_cert(c.wrap_socket(s).getpeercert(True))))\n"
    )
    done = fleet.run_beside(host, [sys.executable, "-"], stdin=script)
    assert done.returncode == 0, done.stderr
    return x509.load_pem_x509_certificate(json.loads(done.stdout).encode()).serial_number


def _all_served(fleet: TestedFleet) -> None:
    for host, leaf in _leaves(fleet):
        if leaf in SERVED:
            assert _serial_served(fleet, host, leaf) == _serial(fleet, host, leaf), (host, leaf)
        assert not fleet.host(host).run(f"ls {PKI}/{leaf}/unserved-*").stdout
