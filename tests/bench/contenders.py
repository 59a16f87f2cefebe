"""The programs that are measured: ours as it is shipped, and the same API written by others' means.

All get the same statements, the same secret and the same servers, have ten connections to
PostgreSQL, verify the token, count the use and read the account in Redis, keep metrics and write a
log line a request into a file.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from gtsd.accounts.queries import ACCOUNT
from gtsd.badges.operations import Deed
from gtsd.stores.postgres_prepared import numbered, statements
from gtsd.tasks.queries import GIVE_EVIDENCE, TODAY
from tests.bench.world import World
from tests.support.environments import JWT_SECRET
from tests.support.process import ROOT

PEERS: Final = Path(__file__).parent / "peers"
BUILT: Final = ROOT / "build" / "bench"
_PYTHON: Final = str(ROOT / ".venvs" / "bench" / "bin" / "python")
# Go's libraries as Debian packages them: no module proxy is needed.
_GO: Final = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": ""}


class Contender(NamedTuple):
    """A program: how it is called, and what of its versions is worth telling."""

    name: str
    label: str
    command: tuple[str, ...]
    folder: Path
    variables: dict[str, str]
    work: tuple[str, ...] = ("cached", "postgres", "evidence")


def _traced(share: float) -> dict[str, str]:
    """The collector is the world's, unless another one is given."""
    return {
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": str(share),
    }


_SHIPPED: Final = {
    "PYTHONPATH": "service",
    "GTSD_LOG_FORMAT": "json",
    "GTSD_LIMIT_USER": "1000000",
    "GTSD_DATABASE_POOL_SIZE": "10",
}
_SERVE: Final = (sys.executable, "-m", "gtsd", "serve")
OURS: Final = Contender(
    "gtsd",
    "GTSD",
    _SERVE,
    ROOT,
    _SHIPPED | _traced(0.01),
    ("cached", "postgres", "evidence", "unchanged"),
)
# What it costs to be seen: the same with a tenth of all requests traced, and with nothing told.
TRACED: Final = Contender(
    "traced", "GTSD, a tenth traced", _SERVE, ROOT, _SHIPPED | _traced(0.1), ("cached",)
)
SILENT: Final = Contender(
    "silent",
    "GTSD without metrics, log, traces",
    (sys.executable, "-m", "tests.bench.silent"),
    ROOT,
    _SHIPPED | {"PYTHONPATH": "service:."},
    ("cached",),
)
_PYTHON_PEER: Final = {"PYTHONPATH": str(PEERS.parent)}
ALL: Final = (
    OURS,
    TRACED,
    SILENT,
    Contender(
        "express",
        "Express + postgres.js + ioredis",
        ("node", "express.js"),
        PEERS / "node",
        {"NODE_ENV": "production"},
    ),
    Contender(
        "fastapi",
        "FastAPI + asyncpg + redis",
        (_PYTHON, "-m", "peers.fastapi_peer"),
        PEERS.parent,
        _PYTHON_PEER,
    ),
    Contender(
        "fastify",
        "Fastify + pg + ioredis",
        ("node", "fastify.js"),
        PEERS / "node",
        {"NODE_ENV": "production"},
    ),
    Contender("go", "Go net/http + pgx", (str(BUILT / "go-peer"),), PEERS / "go", {}),
    Contender(
        "tornado",
        "Tornado the usual way + aiopg",
        (_PYTHON, "-m", "peers.tornado_usual"),
        PEERS.parent,
        _PYTHON_PEER,
    ),
)


def built() -> tuple[Contender, ...]:
    """Those that can run here, ready to be started; Go is left out where it is not installed."""
    modules = PEERS / "node" / "node_modules"
    lock = PEERS / "node" / "package-lock.json"
    stamp = modules / ".complete"
    if not stamp.exists() or stamp.read_text() != lock.read_text():
        command = ["npm", "ci", "--no-audit", "--no-fund", "--omit=optional"]
        subprocess.run(command, cwd=PEERS / "node", check=True, stdout=subprocess.DEVNULL)
        stamp.write_text(lock.read_text())
    if shutil.which("go") is None:
        return tuple(one for one in ALL if one.name != "go")
    BUILT.mkdir(parents=True, exist_ok=True)
    environ = {**os.environ, **_GO, "GOCACHE": str(BUILT / "go-cache")}
    target = BUILT / "go-peer"
    subprocess.run(
        ["go", "build", "-o", target, "main.go"], cwd=PEERS / "go", env=environ, check=True
    )
    return ALL


def versions() -> dict[str, str]:
    """What runs here, by name."""
    found = {"python": sys.version.split()[0], "node": _said("node", "--version")}
    if shutil.which("go"):
        found["go"] = _said("go", "version").split()[2]
        shown = ["dpkg-query", "-W", "-f", "${Version}"]
        found["pgx"] = _said(*shown, "golang-github-jackc-pgx-v4-dev")
    lock = json.loads((PEERS / "node" / "package-lock.json").read_text())
    wanted = json.loads((PEERS / "node" / "package.json").read_text())["dependencies"]
    found |= {name: lock["packages"][f"node_modules/{name}"]["version"] for name in wanted}
    for name in ("fastapi", "uvicorn", "uvloop", "asyncpg", "redis", "tornado", "aiopg"):
        look = f"from importlib.metadata import version; print(version('{name}'))"
        found[name] = _said(_PYTHON, "-c", look)
    return found


@contextlib.contextmanager
def running(contender: Contender, world: World, port: int) -> Iterator[int]:
    """The process once it is ready; gives its id. What it writes goes into a file."""
    environ = {
        "PATH": os.environ["PATH"],
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "DATABASE_URL": world.database_url,
        "REDIS_URL": world.redis.url,
        "JWT_SECRET": JWT_SECRET,
        "QUERIES": str(_queries(world.folder)),
        **contender.variables,
    }
    if "OTEL_TRACES_SAMPLER" in environ:
        environ.setdefault("OTEL_EXPORTER_OTLP_ENDPOINT", world.collector)
    log = world.folder / f"{contender.name}-{port}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            contender.command, cwd=contender.folder, env=environ, stdout=out, stderr=out
        )
    try:
        _wait(process, port, log)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        assert process.poll() is None, log.read_text()[-2000:]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise AssertionError(log.read_text()[-2000:])


def _queries(folder: Path) -> Path:
    path = folder / "queries.json"
    if not path.exists():
        whole = {
            "account": _numbered(ACCOUNT.sql),
            "today": _numbered(TODAY.sql),
            "evidence": [_numbered(part) for part in statements(GIVE_EVIDENCE)],
            "catalogue": Deed.EVIDENCE,
        }
        path.write_text(json.dumps(whole))
        path.chmod(0o644)
    return path


def _numbered(sql: str) -> dict[str, Any]:
    """With parameters as psycopg2 wants them (``text``), and as all others do (``sql``)."""
    counted, names = numbered(sql)
    return {"sql": counted, "names": names, "text": sql}


def _said(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
