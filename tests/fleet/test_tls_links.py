"""On each link between hosts, four wrong peers are refused, and the right one is not.

Both ends are tried: a server by clients that show what they should not, and a client by a server
in the real one's place. The second needs the client's own program and configuration, so what the
host sends is turned to the impostor for some seconds.
"""

from __future__ import annotations

import inspect
import json
import sys
import time
from dataclasses import dataclass

import pytest

from tests.fleet import impostor
from tests.fleet.impostor import Role
from tests.fleet.machines.tested import TestedFleet
from tests.fleet.tls_probe import Attempt, outcome
from tests.fleet.wrong_peers import (
    RIGHT,
    WRONG,
    Authority,
    Identity,
    Link,
    attempts,
    identities,
    outcomes,
)

DOMAIN = "gtsd.internal"
PUBLIC_NAME = "api.rehearsal.test"


@dataclass(frozen=True)
class Row:
    """A server's port, and who talks to it; ``unit`` is the leaf that the right client shows.

    The server may look at the unit, or at the common name, which then has the unit before the host.
    """

    name: str
    protocol: str
    server: str
    port: int
    client: str
    unit: str = ""
    checked: str = ""
    # pgBackRest asks whose a certificate is with the first command: see test_backup.py.
    name_checked: bool = True


@dataclass(frozen=True)
class Program:
    """A program that connects; ``doors`` are names by which it knows the server besides its own."""

    name: str
    protocol: str
    client: str
    server: str
    port: int
    doors: tuple[str, ...] = ()
    # What makes it connect, where it does not by itself within the seconds.
    stimulus: str = ""
    seconds: float = 12
    # Redis and Sentinel know no names; the firewall's rows say who can stand in that place at all.
    name_checked: bool = True
    # What else its host sends there, to itself alone, and without a look at who answers.
    beside: str = ""


READY = (
    "import http.client as c; k = c.HTTPConnection('127.0.0.1', 3001, timeout=2);"
    "k.request('GET', '/ready'); k.getresponse().read()"
)

SERVERS = [
    Row("etcd", "http", "database", 2379, "database", unit="patroni"),
    Row("etcd's peers", "http", "database", 2380, "database", unit="etcd"),
    Row("Patroni", "http", "database", 8008, "app"),
    Row("PostgreSQL", "postgresql", "database", 5432, "app"),
    Row("Redis", "redis", "cache", 6379, "app"),
    pytest.param(
        Row("Sentinel", "redis", "cache", 26379, "cache"), marks=pytest.mark.shape("full")
    ),
    Row("API", "http", "app", 8441, "edge", unit="nginx", checked="unit"),
    Row("WAL", "pgbackrest", "backup", 8432, "database", "backup-database", name_checked=False),
    Row("the data", "pgbackrest", "database", 8433, "backup", "backup", name_checked=False),
    Row("exporters", "http", "database", 8506, "monitor", unit="prometheus", checked="common name"),
]
PROGRAMS = [
    Program("HAProxy asks Patroni", "http", "app", "database", 8008),
    Program("PgBouncer", "postgresql", "app", "database", 5432, ("primary",), READY),
    Program("HAProxy asks Redis", "redis", "app", "cache", 6379, ("cache",)),
    Program("nginx", "http", "edge", "app", 8441, ("api",), "edge"),
    # A member's gateway for JSON dials that same member, in gRPC.
    Program("Patroni asks etcd", "http", "database", "database", 2379, seconds=20, beside="PRI "),
    Program("Prometheus", "http", "monitor", "database", 8506, seconds=25),
    pytest.param(
        Program("etcd asks its peers", "http", "database", "database", 2380),
        marks=pytest.mark.shape("full"),
    ),
    pytest.param(
        Program("replicas and Sentinels", "redis", "cache", "cache", 6379, name_checked=False),
        marks=pytest.mark.shape("full"),
    ),
]

pytestmark = [pytest.mark.shape("small", "full"), pytest.mark.both_releases]


@pytest.fixture(scope="module")
def authority(fleet: TestedFleet) -> Authority:
    """The fleet's own CA: expired and misnamed certificates must be right in all else."""
    return Authority.of_fleet(fleet.state / "pki", fleet.secrets["pki_ca_passphrase"])


def _identity(fleet: TestedFleet, row: Row, host: str, unit: str) -> Identity:
    common = f"{unit}." if row.checked == "common name" else ""
    return Identity(unit, f"{common}{host}.{DOMAIN}", (fleet.address(host), "127.0.0.1"))


def _other(fleet: TestedFleet, group: str, host: str) -> str:
    """A host of the group, another one than this if there is one."""
    names = fleet.names(group)
    return next((name for name in names if name != host), names[0])


@pytest.mark.parametrize("row", SERVERS, ids=lambda row: row.name)
def test_a_server_refuses_four_wrong_peers(
    fleet: TestedFleet, authority: Authority, row: Row
) -> None:
    """Asked from where the right client is, so that no firewall does the server's work."""
    server = fleet.names(row.server)[0]
    client = _other(fleet, row.client, server)
    by_name = row.name_checked and not row.checked
    link = Link(
        name=row.name,
        protocol=row.protocol,
        address=fleet.address(server),
        port=row.port,
        server_name=f"{server}.{DOMAIN}",
        identity=_identity(fleet, row, client, row.unit) if row.unit else None,
        stranger=None if by_name else _identity(fleet, row, client, "stranger"),
    )

    def beside(script: str) -> str:
        done = fleet.run_beside(client, [sys.executable, "-"], stdin=script, timeout=90)
        assert done.returncode == 0, done.stderr
        return done.stdout

    told = outcomes(attempts(link, authority), beside)
    assert told.pop(RIGHT).startswith("served"), told
    if not row.name_checked:
        assert told["wrong name"].startswith("served"), "it knows names now: make it check them"
        told["wrong name"] = "refused: later"
    assert not [kind for kind in WRONG if not told[kind].startswith("refused")], told


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_program_refuses_four_wrong_servers(
    fleet: TestedFleet, authority: Authority, program: Program
) -> None:
    """With the right server's certificate the impostor is believed, so the refusals are earned."""
    client = fleet.names(program.client)[-1]
    servers = fleet.names(program.server)
    names = [name for server in servers for name in (f"{server}.{DOMAIN}", fleet.address(server))]
    doors = [f"{door}.{DOMAIN}" for door in program.doors]
    whom = Identity("impostor", names[0], (*names, *doors, "127.0.0.1"))
    shown = identities(authority, whom)
    stimulus = _edge(fleet) if program.stimulus == "edge" else program.stimulus
    roles = [
        Role(
            protocol=program.protocol,
            addresses=[fleet.address(server) for server in servers],
            port=program.port,
            identity=identity,
            nft=["chroot", str(fleet.root(client)), "nft"],
            stimulus=[sys.executable, "-c", stimulus] if stimulus else [],
            seconds=program.seconds,
        )
        for identity in shown.values()
    ]
    told = dict(zip(shown, _played(fleet, client, roles), strict=True))
    if program.beside:
        own = f"trusted: {program.beside}"
        told = {kind: [s for s in lines if not s.startswith(own)] for kind, lines in told.items()}
    assert [line for line in told.pop(RIGHT) if line.startswith("trusted")], told
    if not program.name_checked:
        believed = told.pop("wrong name")
        assert [line for line in believed if line.startswith("trusted")], (
            "it knows names now: make it check them here, too"
        )
    for kind, lines in told.items():
        assert lines, (kind, told)
        assert not [line for line in lines if not line.startswith("refused")], (kind, told)


@pytest.mark.parametrize("kind", ["other CA", "wrong name", "plaintext"])
def test_the_world_is_shown_the_public_name_and_nothing_else(
    fleet: TestedFleet, authority: Authority, kind: str
) -> None:
    """Who has other ideas of the edge gets no answer; how it ends is for the tests of role acme."""
    right = Attempt(
        protocol="http",
        address=fleet.address(fleet.names("edge")[0]),
        port=443,
        server_name=PUBLIC_NAME,
        trust=(fleet.state / "public-ca.pem").read_text(),
        identity="",
    )
    wrong = right.copy()
    if kind == "other CA":
        wrong["trust"] = authority.pem
    elif kind == "wrong name":
        wrong["server_name"] = "somebody.else.test"
    else:
        wrong["trust"] = ""
    assert outcome(right).startswith("served")
    assert outcome(wrong).startswith("refused")


def _edge(fleet: TestedFleet) -> str:
    """A request to nginx on the same host; whose certificate it shows does not matter here."""
    return (
        "import http.client as c, ssl, socket;"
        "x = ssl.create_default_context(); x.check_hostname = False; x.verify_mode = 0;"
        f"k = c.HTTPSConnection('{PUBLIC_NAME}', context=x, timeout=3);"
        f"s = socket.create_connection(('{fleet.address(fleet.names('edge')[-1])}', 443), 3);"
        f"k.sock = x.wrap_socket(s, server_hostname='{PUBLIC_NAME}');"
        "k.request('GET', '/healthz'); k.getresponse().read()"
    )


def _played(fleet: TestedFleet, client: str, roles: list[Role]) -> list[list[str]]:
    """Each role in turn, with a breath in between for who has to live with its server again."""
    told: list[list[str]] = []
    for role in roles:
        time.sleep(3)
        script = f"{inspect.getsource(impostor)}\nmain({[role]!r})\n"
        done = fleet.run_beside(client, [sys.executable, "-"], stdin=script, timeout=90)
        assert done.returncode == 0, done.stderr
        told += json.loads(done.stdout)
    return told
