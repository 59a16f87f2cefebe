"""Servers that tests share, and a database of their own for those that stop or change it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.dev.redis import EmbeddedRedis
from gtsd.stores.postgres import Postgres
from tests.conftest import FAST_POSTGRES
from tests.support.database import opened, outside
from tests.support.redis import administrator, restricted


@pytest.fixture(scope="session")
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """Not the shared one: it may be restarted; after the test it must run as it did before."""
    folder = Path(tempfile.mkdtemp(prefix="gtsd-test-"))
    folder.chmod(0o711)
    with EmbeddedPostgres(folder / "postgres", options=FAST_POSTGRES) as server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def store_url(postgres_server: EmbeddedPostgres) -> str:
    """One empty database for all tests here that leave it as they find it; saves a lot of time."""
    return postgres_server.create_database("stores")


@pytest.fixture
def table_url(store_url: str) -> str:
    """A database with a table that has one row."""
    outside(
        store_url,
        "DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY DEFERRABLE);"
        " INSERT INTO t VALUES (1)",
    )
    return store_url


@pytest.fixture
async def single(table_url: str) -> AsyncIterator[Postgres]:
    """A store of one connection, so that whatever it is left with meets the next caller."""
    async with opened(table_url, database_pool_size=1) as database:
        yield database


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> Iterator[str]:
    """An empty Redis, as a user that may do no more than in production."""
    with administrator(redis_server.url) as admin:
        admin.flushall()
        yield restricted(redis_server.url)
