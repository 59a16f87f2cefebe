"""The real servers that the tests talk to, one set a test process, on 127.0.0.1; and a browser."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gtsd.dev.object_store import EmbeddedObjectStore
from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.dev.redis import EmbeddedRedis
from gtsd.migrate.runner import up
from tests.support.browser import Page, chromium, open_page

MIGRATIONS = Path(__file__).parent.parent / "migrations"
# What a test writes need not survive a power cut.
FAST_POSTGRES = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
FAST_REDIS = {"appendonly": "no"}

_numbers = itertools.count(1)


def _open_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="gtsd-test-"))
    # As root the servers run under another account, which has to pass through; pytest's own
    # folders are closed to it.
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """For a test with a server of its own: ``EmbeddedPostgres(server_folder / "postgres")``."""
    yield from _open_folder()


@pytest.fixture(scope="session")
def _servers_folder() -> Iterator[Path]:
    yield from _open_folder()


@pytest.fixture(scope="session")
def postgres_server(_servers_folder: Path) -> Iterator[EmbeddedPostgres]:
    """Shared; a test that stops it starts it again."""
    with EmbeddedPostgres(_servers_folder / "postgres", options=FAST_POSTGRES) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(_servers_folder: Path) -> Iterator[EmbeddedRedis]:
    """Shared; a test that stops it starts it again."""
    with EmbeddedRedis(_servers_folder / "redis", options=FAST_REDIS) as server:
        yield server


@pytest.fixture(scope="session")
def object_store(_servers_folder: Path) -> Iterator[EmbeddedObjectStore]:
    """Shared; it has one bucket, named ``object_store.bucket``."""
    with EmbeddedObjectStore(_servers_folder / "objects") as server:
        yield server


@pytest.fixture(scope="session")
def _migrated_template(postgres_server: EmbeddedPostgres) -> str:
    name = "migrated"
    up(postgres_server.create_database(name), MIGRATIONS)
    return name


@pytest.fixture
def database_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A fresh, empty database."""
    yield from _database(postgres_server, "template1")


@pytest.fixture
def migrated_database_url(
    postgres_server: EmbeddedPostgres, _migrated_template: str
) -> Iterator[str]:
    """A fresh database with the schema of all migrations and no rows."""
    yield from _database(postgres_server, _migrated_template)


def _database(server: EmbeddedPostgres, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    yield server.create_database(name, template)
    server.drop_database(name)


@pytest.fixture
def servers(
    database_url: str, redis_server: EmbeddedRedis, object_store: EmbeddedObjectStore
) -> dict[str, str]:
    """The variables by which the service finds them, with an empty database."""
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_server.url,
        "S3_ENDPOINT": object_store.url,
        "S3_ACCESS_KEY_ID": object_store.access_key_id,
        "S3_SECRET_ACCESS_KEY": object_store.secret_access_key,
        "S3_BUCKET": object_store.bucket,
    }


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One browser for all tests of a file; each has a tab without a past."""
    with chromium(tmp_path_factory.mktemp("chromium")) as endpoint:
        yield endpoint


@pytest.fixture
async def tab(browser: str) -> AsyncIterator[Page]:
    """An empty one."""
    async with open_page(browser) as page:
        yield page
