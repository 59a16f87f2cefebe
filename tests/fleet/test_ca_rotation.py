"""The internal CA is replaced while everything serves, and stopping after any phase is safe."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from tests.fleet.machines.tested import TestedFleet

PKI = "/etc/gtsd/pki"

# Rows of etcd's members restart one after the other only where there are three.
pytestmark = pytest.mark.shape("full")


def _trusted(fleet: TestedFleet, host: str) -> list[str]:
    pem = fleet.host(host).file(f"{PKI}/ca.pem").content
    return [ca.subject.rfc4514_string() for ca in x509.load_pem_x509_certificates(pem)]


def _issuers(fleet: TestedFleet) -> set[str]:
    found = set()
    for host in fleet.names():
        inside = fleet.host(host)
        for path in inside.check_output(f"find {PKI} -name cert.pem").split():
            leaf = x509.load_pem_x509_certificate(inside.file(path).content)
            found.add(leaf.issuer.rfc4514_string())
    return found


@contextmanager
def _clients(fleet: TestedFleet) -> Iterator[Counter[str]]:
    """Asks, every half second, what only works when each link behind it does."""
    told: Counter[str] = Counter()
    stop = threading.Event()

    def ask() -> None:
        body = '{"email":"nobody@example.org","password":"wrong-password-1"}'
        arguments = ["-d", body, "-H", "Content-Type: application/json", "-o", "/dev/null"]
        while not stop.wait(0.5):
            done = fleet.outside_curl("/auth/login", *arguments, "-w", "%{http_code}")
            told[done.stdout or done.stderr] += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield told
    finally:
        stop.set()
        thread.join()


def test_the_ca_is_replaced_while_everything_serves(fleet: TestedFleet) -> None:
    """Trust both, sign with the next, drop the old; a request in between never meets a stranger."""
    folder = Path(fleet.state / "pki")
    hosts = fleet.names()
    (old,) = _trusted(fleet, hosts[0])
    number = int(next(folder.glob("ca-*.crt")).stem.removeprefix("ca-"))

    with _clients(fleet) as told:
        play = fleet.play("rotate-ca.yml", "-e", "pki_rotate_phase=1")
        assert play.rc == 0, play.stdout
        for host in hosts:
            assert len(_trusted(fleet, host)) == 2, host
        assert _issuers(fleet) == {old}
        for host in fleet.names("app"):
            # Whoever has no leaf has to be told apart: the pool.
            read = f"grep -q $(sha1sum < {PKI}/ca.pem | cut -c -40) /etc/pgbouncer/.taken"
            assert fleet.host(host).run(read).rc == 0, host
        play = fleet.play("site.yml")
        assert (play.rc, play.changed) == (0, 0), play.changes

        play = fleet.play("rotate-ca.yml", "-e", "pki_rotate_phase=2")
        assert play.rc == 0, play.stdout
        assert old not in _issuers(fleet)
        assert len(_trusted(fleet, hosts[0])) == 2

        play = fleet.play("rotate-ca.yml")
        assert play.rc == 0, play.stdout
    for host in hosts:
        trusted = _trusted(fleet, host)
        assert len(trusted) == 1, host
        assert old not in trusted
    assert {path.name for path in folder.iterdir()} == {
        f"ca-{number + 1}.crt",
        f"ca-{number + 1}.key",
        "signing",
    }
    # 401: the account was looked for in the database. 429: so often that the cache counted it.
    assert set(told) <= {"401", "429"}, told
    assert told.total() > 20


def test_a_rotation_of_some_hosts_is_refused(fleet: TestedFleet) -> None:
    """Who is left out would trust nobody in the end."""
    before = {path.name for path in (fleet.state / "pki").iterdir()}
    play = fleet.play("rotate-ca.yml", "--limit", fleet.names("app")[0])
    assert (play.rc != 0, play.changed) == (True, 0)
    assert "did not take part" in play.stdout
    assert {path.name for path in (fleet.state / "pki").iterdir()} == before
