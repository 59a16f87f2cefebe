"""rediss:// talks to the server that the certificate authority vouches for, and to no other."""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import quote

import pytest

from gtsd.dev.redis import EmbeddedRedis
from gtsd.stores.redis import Redis
from gtsd.telemetry.metrics import Metrics
from tests.support.redis import logged, opened, settings, until
from tests.support.relay import Relay
from tests.support.tls import Ca, Leaf, make_ca


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Ca:
    return make_ca(tmp_path_factory.mktemp("ca"))


def serving(leaf: Leaf, clients: Path | None = None) -> ssl.SSLContext:
    """What a TLS server with this certificate needs; it may ask clients for one, too."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients)
    context.load_cert_chain(leaf.certificate, leaf.key)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def secure(server: EmbeddedRedis, relay: Relay, host: str, query: str) -> str:
    login = server.url.removeprefix("redis://").partition("@")[0]
    return f"rediss://{login}@{host}:{relay.port}/0?{query}"


async def reason(url: str) -> str:
    """Why the store is away, or nothing where it is not."""
    with logged() as lines:
        async with opened(url) as store:
            if store.available:
                assert await store.run(("PING",)) == [b"PONG"]
    return "".join(lines)


async def test_a_certificate_of_the_given_authority_is_accepted(
    redis_server: EmbeddedRedis, ca: Ca
) -> None:
    """By host name and by address."""
    leaf = ca.issue(names=["localhost"], ips=["127.0.0.1"])
    async with Relay(redis_server.port, serving(leaf)) as relay:
        query = f"ssl_ca_certs={quote(str(ca.certificate))}"
        for host in ("localhost", "127.0.0.1"):
            assert await reason(secure(redis_server, relay, host, query)) == ""


@pytest.mark.parametrize("extra", ["", "&ssl_cert_reqs=none&ssl_check_hostname=false"])
@pytest.mark.parametrize("wrong", ["name", "authority", "expired", "public"])
async def test_any_other_certificate_is_refused_whatever_the_url_says(
    redis_server: EmbeddedRedis, ca: Ca, tmp_path: Path, wrong: str, extra: str
) -> None:
    """Another name, another authority, one that has expired, or no authority of ours named."""
    leaf = {
        "name": lambda: ca.issue(names=["elsewhere"]),
        "authority": lambda: make_ca(tmp_path / "other").issue(names=["localhost"]),
        "expired": lambda: ca.issue(names=["localhost"], expired=True),
        "public": lambda: ca.issue(names=["localhost"]),
    }[wrong]()
    query = "db=0" if wrong == "public" else f"ssl_ca_certs={quote(str(ca.certificate))}"
    async with Relay(redis_server.port, serving(leaf)) as relay:
        told = await reason(secure(redis_server, relay, "localhost", query + extra))
        assert "CERTIFICATE_VERIFY_FAILED" in told.upper().replace(" ", "_")
        # Nothing was sent to whoever that was, the password least of all.
        assert relay.requests == []


async def test_a_renewed_client_certificate_is_used_at_the_next_connection(
    redis_server: EmbeddedRedis, ca: Ca, tmp_path: Path
) -> None:
    """A service that runs longer than its certificate lives must not lose Redis for good."""
    certificate, key = tmp_path / "client.crt", tmp_path / "client.key"

    def install(leaf: Leaf) -> None:
        certificate.write_bytes(leaf.certificate.read_bytes())
        key.write_bytes(leaf.key.read_bytes())

    install(ca.issue(names=["gtsd"], client=True, expired=True))
    context = serving(ca.issue(names=["localhost"]), ca.certificate)
    async with Relay(redis_server.port, context) as relay:
        query = f"ssl_ca_certs={ca.certificate}&ssl_certfile={certificate}&ssl_keyfile={key}"
        async with opened(secure(redis_server, relay, "localhost", query)) as store:
            assert not store.available
            certificate.unlink()
            with logged() as lines:
                await until(lambda: "old certificates" in "".join(lines))
            install(ca.issue(names=["gtsd"], client=True))
            await until(lambda: store.available)


async def test_a_missing_certificate_file_stops_the_start(tmp_path: Path) -> None:
    """It is a mistake in the settings, not a server that is away."""
    url = f"rediss://localhost:1/0?ssl_ca_certs={tmp_path / 'missing.crt'}"
    with pytest.raises(FileNotFoundError):
        await Redis.open(settings(redis_url=url), Metrics())


async def test_a_parameter_that_nobody_knows_stops_the_start() -> None:
    """Instead of failing the first request with a traceback."""
    with pytest.raises(ValueError, match="parameter"):
        await Redis.open(settings(redis_url="redis://localhost:1/0?x=y"), Metrics())
