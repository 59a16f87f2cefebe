"""``gtsd dev``: the whole service on one machine, with servers of its own and a demo person."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, TextIO

from gtsd import lifecycle
from gtsd.dev import demo, demo_photo, host, state, worker
from gtsd.dev.banner import banner
from gtsd.dev.errors import DevError
from gtsd.dev.object_store import EmbeddedObjectStore
from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.dev.redis import EmbeddedRedis
from gtsd.dev.server import EmbeddedServer
from gtsd.migrate.cli import DEFAULT_FOLDER
from gtsd.migrate.errors import MigrationError
from gtsd.migrate.runner import up
from gtsd.settings import Settings, read

_DATABASE: Final = "gtsd"
_S3: Final = ("S3_ENDPOINT", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", "S3_BUCKET")
_DEFAULTS: Final = {
    "APP_VERSION": "development",
    # Nobody stands in front of a developer's machine who would have to notice a red readiness.
    "GTSD_DRAIN_DELAY": "0",
    "GTSD_DRAIN_TIMEOUT": "3",
    "GTSD_WORKER_STOP_TIMEOUT": "3",
}


class _Stopped(BaseException):
    """Ctrl-C or SIGTERM before there was anything to drain; no error handler may take it."""


def main(environ: Mapping[str, str], out: TextIO | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM, then stop everything; 1 with one sentence when it cannot."""
    out = out or sys.stdout
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        with state.opened(state.state_folder(environ)) as folder:
            return _run(environ, folder, out)
    except (DevError, MigrationError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except _Stopped:
        return 0


def _run(environ: Mapping[str, str], folder: Path, out: TextIO) -> int:
    environ = {**_DEFAULTS, **environ}
    if not _given(environ, "JWT_SECRET"):
        environ["JWT_SECRET"] = state.signing_secret(folder)
    if not _given(environ, "SMTP_URL"):
        # Each is a file there, so that nobody needs a mail server to follow a link.
        kept = {"SMTP_URL": (folder / "mails").absolute().as_uri()}
        environ = {"GTSD_MAIL_FROM": "GTSD <gtsd@localhost.test>", **environ, **kept}
    _refuse_early(environ)
    servers = _servers(environ, folder)
    names = [server.label for server in servers]
    out.write(f"starting {', '.join(names)}\n" if names else "")
    out.flush()
    with _running(servers):
        for server in servers:
            environ.update(_address(server))
        settings = read(environ)
        up(settings.database_url, DEFAULT_FOLDER)
        with worker.running(environ, folder):
            return asyncio.run(_serve(settings, folder, names, out))


async def _serve(settings: Settings, folder: Path, names: Sequence[str], out: TextIO) -> int:
    async with AsyncExitStack() as stack:
        deps = await lifecycle.open_all(settings, stack)
        person = await demo.fill(deps.postgres, deps.clock)
        await demo_photo.keep(deps)

    async def tell(addresses: list[tuple[str, int]]) -> None:
        address, port = addresses[0]
        shown = f"[{address}]" if ":" in address else address
        lines = banner(f"http://{shown}:{port}", person, folder, names, settings.shown("smtp_url"))
        out.write(lines)
        out.flush()

    return await lifecycle.serve(settings, ready=tell)


def _refuse_early(environ: Mapping[str, str]) -> None:
    """What can be known before any server is started: bad settings, a taken port."""
    named = read(environ, only=("app_env",))
    if named.strict:
        raise DevError(
            f"APP_ENV is {named.app_env}, where `gtsd dev` would add a person whose password "
            "everybody knows; use `gtsd serve`."
        )
    given = _given(environ, "DATABASE_URL")
    placeholder = {} if given else {"DATABASE_URL": "postgresql://127.0.0.1/gtsd"}
    settings = read({**environ, **placeholder})
    if settings.port and host.port_is_taken(settings.port, settings.host):
        raise DevError(
            f"Port {settings.port} is taken by another program; name a free one: PORT=3001."
        )


def _servers(environ: Mapping[str, str], folder: Path) -> list[EmbeddedServer]:
    """Those that the environment does not name."""
    servers: list[EmbeddedServer] = []
    if not _given(environ, "DATABASE_URL"):
        servers.append(EmbeddedPostgres(folder / "postgres"))
    if not _given(environ, "REDIS_URL"):
        servers.append(EmbeddedRedis(folder / "redis"))
    if not any(_given(environ, name) for name in _S3):
        servers.append(EmbeddedObjectStore(folder / "objects"))
    return servers


def _given(environ: Mapping[str, str], name: str) -> bool:
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    return bool(
        environ.get(name)
        or environ.get(f"{name}_FILE")
        or (credentials and Path(credentials, name.lower()).exists())
    )


def _address(server: EmbeddedServer) -> dict[str, str]:
    """The variables by which the service finds it."""
    if isinstance(server, EmbeddedPostgres):
        return {"DATABASE_URL": server.ensure_database(_DATABASE)}
    if isinstance(server, EmbeddedRedis):
        return {"REDIS_URL": server.url}
    assert isinstance(server, EmbeddedObjectStore)
    values = (server.url, server.access_key_id, server.secret_access_key, server.bucket)
    return dict(zip(_S3, values, strict=True))


@contextmanager
def _running(servers: Sequence[EmbeddedServer]) -> Iterator[None]:
    """Started side by side, and stopped side by side, whatever comes in between."""
    with ThreadPoolExecutor(max(1, len(servers))) as threads:
        try:
            for started in [threads.submit(server.start) for server in servers]:
                started.result()
            yield
        finally:
            # Whoever presses Ctrl-C again while the servers write their data down has to wait.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            for stopped in [threads.submit(server.stop) for server in servers]:
                stopped.result()


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stopped
