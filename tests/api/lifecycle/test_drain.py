"""A stop that nobody notices: what becomes of requests around a SIGTERM."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.held import held
from tests.support.process import Answer, Served, environment, exchange, serving

CARELESS = (sys.executable, str(Path(__file__).with_name("careless.py")))
TASK = {"title": "Read ten pages"}


@pytest.fixture
def url(migrated_database_url: str) -> str:
    """A database of its own, so that all that waits in it is the test's."""
    return migrated_database_url


def _post(threads: ThreadPoolExecutor, served: Served, token: str) -> Future[Answer]:
    return threads.submit(served.call, "POST", "/v1/tasks", TASK, token)


def _held_through_a_stop(url: str, seconds: float, command: Sequence[str] = ()) -> tuple[int, int]:
    """The status of a request that was in work at a SIGTERM, and that of the process."""
    chosen = (command,) if command else ()
    with serving(environment(url), *chosen) as served, ThreadPoolExecutor() as threads:
        token, user_id = served.sign_up()
        with held(url, user_id) as lock:
            answer = _post(threads, served, token)
            lock.wait_for(1)
            served.signal()
            time.sleep(seconds)
            lock.release()
        return answer.result().status, served.ended()


def test_a_request_held_5_s_through_a_sigterm_is_answered(url: str) -> None:
    """It waits for a row in PostgreSQL meanwhile; the process then ends with 0."""
    assert _held_through_a_stop(url, 5) == (201, 0)


def test_without_the_drain_the_held_request_is_lost(url: str) -> None:
    """The control: the same with Tornado's own way to stop."""
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        _held_through_a_stop(url, 0.5, CARELESS)


def test_the_drain_goes_from_red_readiness_to_a_closed_listener(url: str) -> None:
    """Meanwhile everybody is served, and asked to come back over a new connection."""
    with (
        serving(environment(url, GTSD_DRAIN_DELAY="1")) as served,
        ThreadPoolExecutor() as threads,
    ):
        token, user_id = served.sign_up()
        idle, later = served.connect(), served.connect()
        for connection in (idle, later):
            assert exchange(connection, "GET", "/ready").headers.get("connection") is None
        with held(url, user_id) as lock:
            working = _post(threads, served, token)
            lock.wait_for(1)
            served.signal()
            served.wait_for_line("draining")
            ready = exchange(idle, "GET", "/ready")
            assert (ready.status, ready.json) == (503, {"status": "draining", "version": "unknown"})
            assert ready.headers["connection"] == "close"
            fresh = served.call("GET", "/auth/me", token=token)
            assert (fresh.status, fresh.headers["connection"]) == (200, "close")
            served.wait_until(lambda: _is_refused(served))
            # The proxy may have sent it before it noticed anything.
            last = exchange(later, "GET", "/auth/me", token=token)
            assert (last.status, last.headers["connection"]) == (200, "close")
            lock.release()
        assert working.result().headers["connection"] == "close"
        released = time.monotonic()
        assert served.ended() == 0
        # Every client was told, and every connection closed: there is nothing left to wait for,
        # which would take the 30 s of the drain.
        assert time.monotonic() - released < 10
        assert served.errors == ""


def test_a_collector_of_metrics_holds_no_drain_up(url: str) -> None:
    """It comes every 15 s, and would keep its connection; the control is one that may."""
    for path, least, most in (("/metrics", 0.0, 3.0), ("/healthz", 4.0, 20.0)):
        with serving(environment(url)) as served:
            kept = served.connect()
            assert exchange(kept, "GET", path).status == 200
            served.signal()
            began = time.monotonic()
            assert served.ended() == 0
            assert least <= time.monotonic() - began <= most
            kept.close()


def test_where_somebody_stands_in_no_proxy_has_to_see_that_it_leaves(url: str) -> None:
    """Told so before, it closes its listener at once; the control is the minute that it waits."""
    with serving(environment(url, GTSD_DRAIN_DELAY="60")) as served:
        served.signal(signal.SIGUSR1)
        assert served.get("/ready").status == 200
        served.signal()
        assert served.ended(10) == 0
    with serving(environment(url, GTSD_DRAIN_DELAY="60")) as served:
        served.signal()
        served.wait_for_line("draining")
        with pytest.raises(subprocess.TimeoutExpired):
            served.process.wait(3)
        assert served.get("/healthz").status == 200


def _is_refused(served: Served) -> bool:
    try:
        served.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def test_an_idle_connection_has_time_to_be_closed_by_its_client(url: str) -> None:
    """A proxy closes it by itself; had we closed it, a request could have met the closing."""
    with serving(environment(url)) as served:
        idle = served.connect()
        assert exchange(idle, "GET", "/healthz").status == 200
        served.signal()
        served.wait_until(lambda: _is_refused(served))
        time.sleep(0.5)
        assert served.process.poll() is None
        assert exchange(idle, "GET", "/healthz").status == 200
        idle.close()
        assert served.ended(10) == 0


def test_the_deadline_of_the_drain_ends_a_stuck_request_with_an_answer(url: str) -> None:
    """The process still ends with 0, says which request that was, and leaves nothing running."""
    environ = environment(url, GTSD_DRAIN_TIMEOUT="0.5")
    with serving(environ) as served, ThreadPoolExecutor() as threads:
        token, user_id = served.sign_up()
        with held(url, user_id) as lock:
            stuck = _post(threads, served, token)
            lock.wait_for(1)
            served.signal()
            answer = stuck.result()
            assert answer.status == 503
            assert answer.json["error"]["code"] == "deadline_exceeded"
            assert "retry-after" in answer.headers
            assert served.ended() == 0
            (line,) = served.said("the drain's deadline ended requests in work")
            assert line["abandoned"] == ["POST /v1/tasks"]
            (request,) = [line for line in served.requests() if line["res"]["statusCode"] == 503]
            assert request["req"]["id"] == answer.json["error"]["requestId"]
            lock.wait_for_silence()
