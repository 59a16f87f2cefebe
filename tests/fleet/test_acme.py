"""The public certificate: from the CA, shared challenges, in service, and honest when it is not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from testinfra.host import Host as Inside

from tests.fleet.machines.host import ACME_CA
from tests.fleet.machines.shapes import PUBLIC_NAME
from tests.fleet.machines.tested import TestedFleet

pytestmark = [pytest.mark.shape("small", "full"), pytest.mark.both_releases]

TLS = "/etc/gtsd/tls"
SETTLE = f"/usr/local/sbin/gtsd-edge settle {PUBLIC_NAME}"
CHALLENGES = "/var/lib/gtsd-acme/.well-known/acme-challenge"


def served(fleet: TestedFleet, edge: str) -> dict[str, str]:
    """Serial, issuer and dates of what a client gets from outside."""
    command = f"echo | openssl s_client -connect {fleet.address(edge)}:443 "
    command += f"-servername {PUBLIC_NAME} 2>/dev/null | openssl x509 -noout -serial -issuer"
    told = fleet.run_beside(None, ["/bin/sh", "-c", command]).stdout
    return dict(line.split("=", 1) for line in told.splitlines())


def on_disk(host: Inside) -> str:
    """The serial of what nginx should serve."""
    told: str = host.check_output(f"openssl x509 -noout -serial -in {TLS}/fullchain.pem")
    return told.strip().removeprefix("serial=")


@contextmanager
def ca_away(fleet: TestedFleet, host: Inside) -> Iterator[None]:
    """The CA refuses connections from this host."""
    rule = f"ip daddr {fleet.gateway} tcp dport 443 reject with tcp reset"
    host.check_output("nft add table inet ca_away")
    try:
        chain = "{ type filter hook output priority -10; }"
        host.check_output(f"nft 'add chain inet ca_away out {chain}'")
        host.check_output(f"nft 'add rule inet ca_away out {rule}'")
        yield
    finally:
        host.check_output("nft delete table inet ca_away")


@pytest.fixture
def edge(fleet: TestedFleet) -> str:
    """The edge that most of these tests disturb a little."""
    return fleet.names("edge")[0]


def test_every_edge_serves_its_own_certificate_of_the_ca(fleet: TestedFleet) -> None:
    """curl trusts it by the CA alone; self-signed was only the beginning."""
    serials = set()
    for name in fleet.names("edge"):
        assert "Pebble" in served(fleet, name)["issuer"]
        assert fleet.outside_curl("/healthz", edge=name).returncode == 0
        serials.add(served(fleet, name)["serial"])
    assert len(serials) == len(fleet.names("edge"))


def test_the_key_is_for_root_alone(fleet: TestedFleet, edge: str) -> None:
    """Key and folder; nobody else gets as far as the link."""
    host = fleet.host(edge)
    key = host.check_output(f"stat -L -c '%a %U %G' {TLS}/privkey.pem {TLS}")
    assert key.split("\n") == ["640 root root", "750 root root"]
    assert fleet.host(edge, sudo=False).run(f"cat {TLS}/privkey.pem").rc != 0
    assert host.run(f"runuser -u www-data -- cat {TLS}/privkey.pem").rc != 0


def test_a_renewal_is_served_by_new_workers(fleet: TestedFleet, edge: str) -> None:
    """In spite of the nonces that Pebble refuses; what is on disk is what a client gets."""
    host = fleet.host(edge)
    workers = set(host.check_output("pgrep -f 'nginx: worker'").split())
    before = served(fleet, edge)["serial"]
    told = json.loads(host.check_output("/usr/local/sbin/gtsd-acme --renew"))
    after = served(fleet, edge)["serial"]
    assert before != after == on_disk(host) == told["serial"].upper()
    taking = host.check_output("pgrep -af 'nginx: worker' | grep -v 'shutting down' || true")
    assert not workers & {line.split()[0] for line in taking.splitlines()}


def test_nothing_is_asked_of_the_ca_while_there_is_time(fleet: TestedFleet, edge: str) -> None:
    """What the timer starts, in its sandbox; twice a day, at a minute of its own."""
    host = fleet.host(edge)
    before = on_disk(host)
    host.check_output("systemctl start certbot.service")
    assert host.check_output("systemctl show -p Result --value certbot.service") == "success"
    assert on_disk(host) == before
    assert host.service("certbot.timer").is_enabled
    assert host.service("certbot.timer").is_running
    delay = "systemctl show -p RandomizedDelayUSec --value certbot.timer"
    assert host.check_output(delay) not in ("0", "")


def test_a_ca_that_is_away_is_told_and_what_was_served_stays(fleet: TestedFleet, edge: str) -> None:
    """The timer's unit fails; a play only warns, since most of the life is left."""
    host = fleet.host(edge)
    before = served(fleet, edge)["serial"]
    with ca_away(fleet, host):
        strict = host.run("/usr/local/sbin/gtsd-acme --renew")
        tolerant = host.run("/usr/local/sbin/gtsd-acme --renew --tolerant")
    assert strict.rc == 1
    for word in ("gives no certificate", PUBLIC_NAME, "DNS", "port 80", "stays in service"):
        assert word in strict.stderr
    assert tolerant.rc == 0
    assert "gives no certificate" in json.loads(tolerant.stdout)["warning"]
    assert served(fleet, edge)["serial"] == before


def test_workers_that_stay_old_are_told(fleet: TestedFleet, edge: str) -> None:
    """The classic silent outage: renewed, reloaded without an error, and not served."""
    host = fleet.host(edge)
    master = host.check_output("cat /run/nginx/nginx.pid")
    host.check_output(f"kill -STOP {master}")
    try:
        renewed = host.run("/usr/local/sbin/gtsd-acme --renew")
    finally:
        host.check_output(f"kill -CONT {master}")
    assert renewed.rc == 1
    assert "still take connections" in renewed.stderr
    assert json.loads(host.check_output(SETTLE))["changed"] in (True, False)
    assert served(fleet, edge)["serial"] == on_disk(host)


def test_a_pair_that_does_not_belong_together_is_refused(fleet: TestedFleet, edge: str) -> None:
    """It would stop nginx at the next boot; and what was lost is found again."""
    host = fleet.host(edge)
    before = on_disk(host)
    host.check_output("openssl ecparam -genkey -name prime256v1 -out /run/wrong.key")
    try:
        command = f"gtsd-edge deploy {PUBLIC_NAME} {TLS}/fullchain.pem /run/wrong.key"
        chain = host.check_output(f"readlink -f {TLS}/fullchain.pem")
        host.check_output(f"(cat {chain}; echo) > /run/other.pem")
        refused = host.run(
            f"/usr/local/sbin/{command}".replace(f"{TLS}/fullchain.pem", "/run/other.pem")
        )
    finally:
        host.check_output("rm -f /run/wrong.key /run/other.pem")
    assert refused.rc == 1
    assert on_disk(host) == before
    host.check_output(f"rm {TLS}/current {TLS}/fullchain.pem")
    host.check_output("/usr/local/sbin/gtsd-acme")
    assert on_disk(host) == before == served(fleet, edge)["serial"]


@pytest.mark.shape("small")
def test_an_authority_that_knows_its_customers_by_a_key_is_given_it(
    fleet: TestedFleet, edge: str
) -> None:
    """As ZeroSSL wants it; the control: the same authority refuses who has no key."""
    if not fleet.customer:
        pytest.skip("the authority of this fleet wants none, which is what others have")
    host = fleet.host(edge)
    assert "Pebble" in served(fleet, edge)["issuer"]
    assert host.check_output("stat -c '%a %U' /etc/gtsd/acme-eab.key") == "600 root"
    stranger = "certbot register --non-interactive --agree-tos --no-eff-email -m x@rehearsal.test"
    stranger += f" --server https://{fleet.gateway}/dir --config-dir /run/stranger"
    stranger += " --work-dir /run/stranger --logs-dir /run/stranger"
    refused = host.run(
        f"REQUESTS_CA_BUNDLE=/{ACME_CA} {stranger}; code=$?; rm -r /run/stranger; exit $code"
    )
    assert refused.rc == 1
    assert "external account" in (refused.stdout + refused.stderr).lower()


@pytest.mark.shape("full")
def test_any_edge_answers_the_cas_question(fleet: TestedFleet) -> None:
    """DNS may lead the CA to an edge that did not ask for the certificate."""
    asked, *others = fleet.names("edge")
    token = "A" * 40
    path = f"{CHALLENGES}/{token}"
    fleet.host(others[0]).check_output(
        f"mkdir -p {CHALLENGES}; echo shared > {path}; chmod 644 {path}"
    )
    try:
        assert challenge(fleet, asked, token) == (200, "shared")
    finally:
        fleet.host(others[0]).check_output(f"rm {path}")
    started = time.monotonic()
    status, body = challenge(fleet, asked, token)
    assert status == 404
    assert json.loads(body)["error"]["code"] == "not_found"
    assert time.monotonic() - started < 2, "edges ask each other in circles"


def challenge(fleet: TestedFleet, edge: str, token: str) -> tuple[int, str]:
    """What the CA would get."""
    url = f"http://{PUBLIC_NAME}/.well-known/acme-challenge/{token}"
    command = [
        "curl",
        "--silent",
        "--noproxy",
        "*",
        "--max-time",
        "5",
        "--write-out",
        "\n%{http_code}",
    ]
    command += ["--resolve", f"{PUBLIC_NAME}:80:{fleet.address(edge)}", url]
    body, _, status = fleet.run_beside(None, command).stdout.rpartition("\n")
    return int(status), body.strip()
