"""The worker on its hosts: its sandbox, and that it comes back and does jobs."""

from __future__ import annotations

import shlex
import time
from typing import Any

import pytest

WORKER = "gtsd-worker.service"
SCORE = 15  # tenths: 1.5


@pytest.fixture(scope="module")
def app(fleet: Any) -> Any:
    """The first app host."""
    return fleet.host(fleet.names("app")[0])


def test_the_sandbox_is_as_tight_as_promised(app: Any) -> None:
    """systemd's own measure: at most 1.5 of 10."""
    app.check_output(f"systemd-analyze security --no-pager --threshold={SCORE} {WORKER}")


def worker_metrics(app: Any) -> str:
    """What the worker tells; nothing while it is only starting."""
    act = (
        "import urllib.request as u;"
        " print(u.urlopen('http://127.0.0.1:3010/metrics', timeout=5).read().decode())"
    )
    told = app.run(f"/usr/bin/python3 -c {shlex.quote(act)}")
    return str(told.stdout) if told.rc == 0 else ""


def test_a_killed_worker_comes_back_and_does_jobs(app: Any) -> None:
    """There is one every minute, which closes the days that have ended."""
    assert app.service("gtsd-worker").is_enabled
    app.check_output(f"systemctl kill --signal=KILL {WORKER}")
    done = 'gtsd_jobs_total{job="close_days",outcome="done"}'
    deadline = time.monotonic() + 150
    while done not in worker_metrics(app):
        assert time.monotonic() < deadline, app.check_output(f"journalctl -n 30 -u {WORKER}")
        time.sleep(1)
