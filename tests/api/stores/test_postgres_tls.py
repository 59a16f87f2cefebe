"""TLS with verify-full: the right server and nobody else."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from gtsd.dev import host
from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.errors import DependencyUnavailable
from tests.conftest import FAST_POSTGRES
from tests.support.database import log_lines, opened, query
from tests.support.tls import Ca, make_ca


class Secured(NamedTuple):
    """A server whose certificate is for ``localhost``, and the authority that signed it."""

    server: EmbeddedPostgres
    ca: Ca
    other_ca: Ca

    def dsn(self, name: str, ca: Ca, sslmode: str = "verify-full") -> str:
        """Reach the server under some name, trusting an authority."""
        base = self.server.dsn().replace("127.0.0.1", name)
        return f"{base}?sslmode={sslmode}&sslrootcert={ca.certificate}"


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    """A server that speaks TLS."""
    folder = Path(tempfile.mkdtemp(prefix="gtsd-test-"))
    folder.chmod(0o711)
    ca = make_ca(folder / "ca")
    leaf = ca.issue(names=["localhost"])
    account = host.unprivileged_account()
    if account is not None:
        os.chown(leaf.key, account.user, account.group)
    options = {
        **FAST_POSTGRES,
        "ssl": "on",
        "ssl_cert_file": str(leaf.certificate),
        "ssl_key_file": str(leaf.key),
    }
    with EmbeddedPostgres(folder / "postgres", options=options) as server:
        yield Secured(server, ca, make_ca(folder / "other"))
    shutil.rmtree(folder)


async def test_the_right_server_is_accepted(secured: Secured) -> None:
    """Its name is in its certificate, which our authority signed; the newest protocol is used."""
    version = query("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    async with opened(secured.dsn("localhost", secured.ca)) as database:
        assert await database.value(version) == "TLSv1.3"


async def _refused(dsn: str, because: str) -> None:
    with log_lines() as lines:
        async with opened(dsn) as database:
            with pytest.raises(DependencyUnavailable):
                await database.value(query("SELECT 1"))
    assert any(because in line for line in lines)


async def test_a_server_of_another_name_is_refused(secured: Secured) -> None:
    """The address leads to a server, but its certificate is for somebody else."""
    await _refused(secured.dsn("127.0.0.1", secured.ca), "does not match host name")


async def test_the_name_matters_only_to_verify_full(secured: Secured) -> None:
    """The control: the same server under the same wrong name is accepted by ``verify-ca``."""
    async with opened(secured.dsn("127.0.0.1", secured.ca, "verify-ca")) as database:
        assert await database.ping(2.0)


async def test_a_server_of_another_authority_is_refused(secured: Secured) -> None:
    """The name is right, the signature is not by whom we trust."""
    await _refused(secured.dsn("localhost", secured.other_ca), "certificate verify failed")


async def test_a_server_without_tls_is_refused(
    secured: Secured, postgres_server: EmbeddedPostgres
) -> None:
    """The connection does not fall back to plain text."""
    port = str(postgres_server.port)
    dsn = secured.dsn("localhost", secured.ca).replace(str(secured.server.port), port)
    await _refused(dsn, "server does not support SSL")
