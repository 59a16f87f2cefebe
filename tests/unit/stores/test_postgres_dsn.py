"""The connection string: what is given stays, what is missing is added, names are looked up."""

from __future__ import annotations

import asyncio
import socket

import pytest
from psycopg2 import extensions

from gtsd.stores import postgres_dsn

URL = "postgresql://gtsd:se%20cret@db.example.org:6432/app?sslmode=verify-full&sslrootcert=/ca.crt"


async def _resolved(
    dsn: str, monkeypatch: pytest.MonkeyPatch, **names: list[str]
) -> dict[str, str]:
    """The parameters after a look-up in which only these names exist."""

    async def getaddrinfo(host: str, port: None, **options: object) -> list[tuple[object, ...]]:
        key = host.partition(".")[0]
        if key not in names:
            raise socket.gaierror(socket.EAI_NONAME, "unknown name")
        return [(None, None, None, "", (address, 0)) for address in names[key]]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    resolved = await postgres_dsn.resolved(postgres_dsn.complete(dsn, 5.0))
    return dict(extensions.parse_dsn(resolved))


def test_what_the_operator_gave_stays() -> None:
    """Nothing of the URL is lost: not sslmode, not a password with a space."""
    given = postgres_dsn.complete(URL, 5.0)
    assert given["password"] == "se cret"
    assert (given["sslmode"], given["sslrootcert"]) == ("verify-full", "/ca.crt")
    assert (given["host"], given["port"], given["dbname"]) == ("db.example.org", "6432", "app")


def test_what_is_missing_is_added() -> None:
    """A dead peer is noticed, the server can tell who we are; no ``options``, for poolers."""
    given = postgres_dsn.complete(URL, 4.6)
    assert given["application_name"] == "gtsd-api"
    assert (given["keepalives"], given["connect_timeout"]) == ("1", "5")
    assert given["tcp_user_timeout"] == "5000"
    assert "options" not in given


def test_ours_gives_way_to_the_operators() -> None:
    """A parameter in the URL is there for a reason."""
    given = postgres_dsn.complete(f"{URL}&application_name=me&tcp_user_timeout=9000", 5.0)
    assert (given["application_name"], given["tcp_user_timeout"]) == ("me", "9000")


def test_an_address_that_libpq_does_not_understand_is_not_quoted() -> None:
    """Its own message would hold a part of the password."""
    with pytest.raises(ValueError, match="does not understand") as caught:
        postgres_dsn.complete("postgresql://gtsd:se cret@[db", 5.0)
    assert "se cret" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "/run/postgresql", "", "10.0.0.1,10.0.0.2"])
async def test_addresses_and_sockets_are_left_alone(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is looked up where there is no name."""
    found = await _resolved(f"host='{host}' dbname=app", monkeypatch)
    assert "hostaddr" not in found
    assert found.get("host", "") == host


async def test_a_given_address_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator has looked the name up."""
    found = await _resolved("host=db hostaddr=10.0.0.9", monkeypatch)
    assert (found["host"], found["hostaddr"]) == ("db", "10.0.0.9")


async def test_every_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is repeated beside each, as verify-full needs it."""
    found = await _resolved(URL, monkeypatch, db=["10.0.0.1", "fd00::1", "10.0.0.1"])
    assert found["host"] == "db.example.org,db.example.org"
    assert found["hostaddr"] == "10.0.0.1,fd00::1"
    assert found["port"] == "6432,6432"


async def test_several_hosts_keep_their_order_and_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name, a socket and an address in one list; a name that is unknown is passed over."""
    dsn = "host=a,b,/run,10.0.0.7 port=1,2,3,4"
    found = await _resolved(dsn, monkeypatch, b=["10.0.0.2"])
    assert found["host"] == "b,/run,10.0.0.7"
    assert found["hostaddr"] == "10.0.0.2,,"
    assert found["port"] == "2,3,4"


async def test_a_list_of_ports_that_does_not_fit_is_left_to_libpq(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its message is clear, and goes to the log."""
    found = await _resolved("host=a,b port=1,2,3", monkeypatch)
    assert "hostaddr" not in found


async def test_no_name_known_is_an_error_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """OSError, as for any server that cannot be reached."""
    with pytest.raises(OSError, match="unknown name"):
        await _resolved("host=a,b", monkeypatch)


@pytest.mark.parametrize(
    ("dsn", "hosts"), [("host=a", 1), ("", 1), ("host=a,b", 2), ("hostaddr=1.1.1.1,2.2.2.2", 2)]
)
def test_hosts_are_counted(dsn: str, hosts: int) -> None:
    """Each gets the whole time for a connect."""
    assert postgres_dsn.host_count(postgres_dsn.complete(dsn, 5.0)) == hosts
