"""A real process of the service with all its servers, and how many calls it gets."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from gtsd.dev.object_store import EmbeddedObjectStore
from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.dev.redis import EmbeddedRedis
from tests.support.process import Served, environment, serving

# Of all operations together; each gets its share.
CALLS = int(os.environ.get("FUZZ_CALLS") or 20_000)
# The same seed makes the same calls.
SEED = int(os.environ.get("FUZZ_SEED") or 1)
_BROKEN = (sys.executable, str(Path(__file__).with_name("broken.py")))
_LIMITS = (
    "GTSD_LIMIT_ANONYMOUS",
    "GTSD_LIMIT_USER",
    "GTSD_LIMIT_AUTH_WRITE",
    "GTSD_LIMIT_HEAVY",
    "GTSD_LOGIN_FAILURES_ACCOUNT",
    "GTSD_LOGIN_FAILURES_ADDRESS",
)

Serve = Callable[..., AbstractContextManager[Served]]


@pytest.fixture(scope="session")
def serve(
    postgres_server: EmbeddedPostgres,
    redis_server: EmbeddedRedis,
    object_store: EmbeddedObjectStore,
    _migrated_template: str,
) -> Serve:
    """Starts the service as it is, or the one with mistakes in it."""

    @contextmanager
    def run(*, broken: bool = False) -> Iterator[Served]:
        name = "broken" if broken else "sound"
        environ = environment(
            postgres_server.create_database(name, _migrated_template),
            REDIS_URL=redis_server.url,
            S3_ENDPOINT=object_store.url,
            S3_ACCESS_KEY_ID=object_store.access_key_id,
            S3_SECRET_ACCESS_KEY=object_store.secret_access_key,
            S3_BUCKET=object_store.bucket,
            **dict.fromkeys(_LIMITS, "1000000"),
        )
        with serving(environ, _BROKEN) if broken else serving(environ) as served:
            yield served
        postgres_server.drop_database(name)

    return run


@pytest.fixture(scope="session")
def served(serve: Serve) -> Iterator[Served]:
    """The service as it is."""
    with serve() as process:
        yield process


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How much was tried, which a run without findings would not say."""
    statuses: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        if report.when == "call":
            statuses.update(dict(report.user_properties).get("statuses", {}))
    told = ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items()))
    terminalreporter.write_line(f"fuzz: seed {SEED}, {sum(statuses.values())} calls: {told}")
