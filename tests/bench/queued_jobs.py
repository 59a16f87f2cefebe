"""How much a full queue slows the API: the ratio of its p99 with and without 100,000 queued jobs.

Run by hand on an idle machine, beside nothing else:

    PYTHONPATH=service:. .venvs/test/bin/python tests/bench/queued_jobs.py

One API and one worker, each in a process, on one PostgreSQL of its own with fsync on. Requests go
out at a fixed rate, so that a slow answer is not followed by fewer requests. Rounds with an empty
and with a full queue take turns, so that whatever else the machine does falls on both. In a full
round the worker works all the time; what it has done is added again before the next.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import runpy
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tornado.httpclient import AsyncHTTPClient

from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.migrate.runner import up
from tests.support.database import outside
from tests.support.process import ROOT, Served, environment, serving, started

BOUND: Final = 1.5
_JOBS: Final = ROOT / "tests" / "api" / "jobs" / "own_worker.py"
_FILL: Final = """
    INSERT INTO procrastinate_jobs (queue_name, task_name, args)
    SELECT 'upkeep', 'write', jsonb_build_object('arguments',
        jsonb_build_object('mark', gen_random_uuid()))
    FROM generate_series(1, {count} - (
        SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo' AND task_name = 'write'));
    ANALYZE procrastinate_jobs
"""


class Round(NamedTuple):
    """What was measured in one round, in milliseconds."""

    full: bool
    times: list[float]


def p99(times: list[float]) -> float:
    """The 99th percentile."""
    return statistics.quantiles(times, n=100)[98]


@contextlib.contextmanager
def _database() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="gtsd-bench-") as folder:
        Path(folder).chmod(0o711)
        with EmbeddedPostgres(Path(folder, "postgres")) as server:
            url = server.create_database("bench")
            up(url, ROOT / "migrations")
            yield url


async def _load(url: str, headers: dict[str, str], rate: float, seconds: float) -> list[float]:
    client = AsyncHTTPClient(force_instance=True, max_clients=1000)
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def one(due: float) -> float:
        await asyncio.sleep(due - loop.time())
        await client.fetch(url, headers=headers)
        # From when it was due: what waits for its turn here waits because of the answers before it.
        return (loop.time() - due) * 1000

    count = int(rate * seconds)
    times = await asyncio.gather(*(one(began + n / rate) for n in range(count)))
    client.close()
    return list(times)


def _round(api: Served, url: str, token: str, options: argparse.Namespace, *, full: bool) -> Round:
    if full:
        outside(url, _FILL.format(count=options.jobs))
    target = f"http://127.0.0.1:{api.port}/v1/tasks/today"
    headers = {"Authorization": f"Bearer {token}"}
    command = (sys.executable, str(_JOBS))
    with contextlib.ExitStack() as stack:
        worker = stack.enter_context(started(environment(url, GTSD_WORKER_PORT="0"), command))
        worker.wait_ready()
        asyncio.run(_load(target, headers, options.rate, 1))
        times = asyncio.run(_load(target, headers, options.rate, options.seconds))
        worker.signal()
        worker.ended()
    if full:
        left = outside(url, "SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'")
        assert left > options.jobs / 2, f"only {left} jobs were left at the end"
    else:
        outside(url, "DELETE FROM procrastinate_jobs")
    return Round(full, times)


def main() -> int:
    """Print the figures; 1 where the bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="of one round")
    parser.add_argument("--rounds", type=int, default=3, help="of each kind")
    options = parser.parse_args()
    rounds: list[Round] = []
    began = time.monotonic()
    with _database() as url:
        outside(url, str(runpy.run_path(str(_JOBS))["SCHEMA"]))
        with serving(environment(url, GTSD_LIMIT_USER="1000000")) as api:
            token, _ = api.sign_up()
            for number in range(2 * options.rounds):
                if number % 2 == 0:
                    outside(url, "DELETE FROM procrastinate_jobs")
                rounds.append(_round(api, url, token, options, full=number % 2 == 1))
    empty, full = ([p99(r.times) for r in rounds if r.full is kind] for kind in (False, True))
    ratio = statistics.median(full) / statistics.median(empty)
    figures = {"jobs": options.jobs, "empty_p99_ms": empty, "full_p99_ms": full, "ratio": ratio}
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    took = time.monotonic() - began
    sys.stdout.write(f"{ratio:.2f} times, at most {BOUND} wanted; {took:.0f} s\n")
    return 0 if ratio <= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
