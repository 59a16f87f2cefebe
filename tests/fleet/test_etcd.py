"""Patroni's store: its members agree, and speak to nobody without a certificate."""

from __future__ import annotations

import json
import time

import pytest

from tests.fleet.machines.tested import TestedFleet

pytestmark = [pytest.mark.shape("small", "full"), pytest.mark.both_releases]

PKI = "/etc/gtsd/pki"
SURE = f"--cacert {PKI}/ca.pem"
SHOWN = f"{SURE} --cert {PKI}/etcd/cert.pem --key {PKI}/etcd/key.pem"
# Member that starts again: it hears its peers within seconds.
_PATIENCE = 60


def etcdctl(fleet: TestedFleet, name: str, command: str, shown: str = SHOWN) -> tuple[int, str]:
    """What etcdctl on a host says of the member there."""
    base = "env ETCDCTL_API=3 etcdctl --endpoints=https://127.0.0.1:2379 --command-timeout=5s"
    told = fleet.host(name).run(f"{base} {shown} {command}")
    return told.rc, told.stdout + told.stderr


def test_every_database_host_is_a_member_that_serves(fleet: TestedFleet) -> None:
    """The list that each member has is the inventory's, and each has a leader."""
    hosts = fleet.names("database")
    for name in hosts:
        code, told = etcdctl(fleet, name, "member list --write-out=json")
        assert code == 0, told
        members = {member["name"]: member for member in json.loads(told.splitlines()[0])["members"]}
        assert set(members) == {f"{host}.gtsd.internal" for host in hosts}
        assert all(member["clientURLs"] for member in members.values())
        code, told = etcdctl(fleet, name, "endpoint health")
        assert code == 0, told


def test_a_client_without_certificate_is_refused(fleet: TestedFleet) -> None:
    """Who writes here decides who is the primary. The control is the same question answered."""
    name = fleet.names("database")[0]
    assert etcdctl(fleet, name, "get --prefix /service --keys-only")[0] == 0
    code, told = etcdctl(fleet, name, "get --prefix /service --keys-only", SURE)
    assert code != 0, told
    command = ["curl", "-s", "-m", "5", "--noproxy", "*", "http://127.0.0.1:2379/version"]
    plain = fleet.run_beside(name, command)
    assert plain.returncode not in (0, 127), plain
    assert "etcdserver" not in plain.stdout


def test_its_data_is_its_own(fleet: TestedFleet) -> None:
    """Nobody else on the host can read it."""
    for name in fleet.names("database"):
        folder = fleet.host(name).file("/var/lib/etcd/gtsd")
        assert (folder.user, oct(folder.mode)) == ("etcd", "0o700")


def test_its_sandbox_is_tight(fleet: TestedFleet) -> None:
    """systemd's own measure, of which 10 is the worst."""
    told = fleet.host(fleet.names("database")[0]).check_output("systemd-analyze security etcd")
    assert float(told.rsplit("level for etcd.service:", 1)[1].split()[0]) <= 1.5


@pytest.mark.shape("full")
def test_a_member_that_lost_its_data_is_taken_in_again(fleet: TestedFleet) -> None:
    """It begins no cluster of its own, and one run of the playbook makes it a member again."""
    name = fleet.names("database")[-1]
    host = fleet.host(name)
    host.check_output("systemctl stop etcd")
    host.check_output("find /var/lib/etcd/gtsd -delete")
    host.run("systemctl start --no-block etcd")
    time.sleep(3)
    assert host.check_output("systemctl is-active etcd || true") != "active"
    play = fleet.play("site.yml", "--limit", "database")
    assert play.rc == 0, play.stdout[-3000:]
    deadline = time.monotonic() + _PATIENCE
    while etcdctl(fleet, name, "endpoint health")[0] and time.monotonic() < deadline:
        time.sleep(1)
    test_every_database_host_is_a_member_that_serves(fleet)
