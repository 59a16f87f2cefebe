"""The outside client through a public edge: TLS, HTTP/2, and what goes wrong at an edge."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.conftest import Start
from tests.support.http2_front import HANG_UP, Http2Front
from tests.support.probing import history, probe_meanwhile
from tests.support.tls import Ca, make_ca

QUICK = ("--accounts=2", "--rate=40", "--requests=120", "--slow=0")


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    """Whom the client trusts."""
    return make_ca(tmp_path / "ca")


@pytest.fixture
async def front(start: Start, ca: Ca) -> AsyncIterator[Http2Front]:
    """An edge for api.example.org, with the service behind it."""
    service = await start()
    port = int(service.base.rpartition(":")[2])
    async with Http2Front(port, ca.issue(["api.example.org"])) as edge:
        yield edge


def options(front: Http2Front, ca: Ca, tmp_path: Path) -> list[str]:
    """By the edge's address and for its name, as playbooks call it."""
    return [
        f"--folder={tmp_path}/run",
        f"--url=https://api.example.org:{front.port}",
        "--address=127.0.0.1",
        f"--ca={ca.certificate}",
    ]


async def test_both_protocols_are_spoken_over_kept_and_fresh_connections(
    front: Http2Front, ca: Ca, tmp_path: Path
) -> None:
    """TLS is verified against the name, at the address that was given."""
    run = await probe_meanwhile("run", *options(front, ca, tmp_path), *QUICK)
    assert (run.returncode, run.stderr) == (0, "")
    rows = history(tmp_path / "run")
    assert [row for row in rows if row["reason"]] == []
    over = Counter((row["protocol"], row["connection"]) for row in rows)
    # How many of each depends on how many are in work at a time, and so on the machine.
    assert len(over) == 4
    assert {row["address"] for row in rows} == {"127.0.0.1"}


async def test_an_orderly_leave_of_the_server_is_no_failure(
    front: Http2Front, ca: Ca, tmp_path: Path
) -> None:
    """nginx sends GOAWAY with every thousandth request, and answers it."""
    front.leave_after = 3
    run = await probe_meanwhile("run", *options(front, ca, tmp_path), *QUICK)
    assert (run.returncode, run.stderr) == (0, "")
    assert front.leaves > 0
    assert [row for row in history(tmp_path / "run") if row["reason"]] == []


async def test_a_connection_that_ends_under_a_request_is_a_failure(
    front: Http2Front, ca: Ca, tmp_path: Path
) -> None:
    """The control: without a word of leave, what was sent is not answered and not sent again."""
    front.instead = lambda number: HANG_UP if number > 30 and number % 5 == 0 else None
    await probe_meanwhile("run", *options(front, ca, tmp_path), *QUICK)
    failed = [row for row in history(tmp_path / "run") if row["reason"]]
    assert len(failed) == len([n for n in range(31, front.requests + 1) if n % 5 == 0]) > 1
    assert {row["reason"] for row in failed} == {"no answer"}


@pytest.mark.parametrize(
    ("status", "reason"), [(500, "server error"), (429, "limited"), (200, "wrong body")]
)
async def test_a_server_that_is_wrong_half_of_the_time_is_seen(
    status: int, reason: str, front: Http2Front, ca: Ca, tmp_path: Path
) -> None:
    """Each kind under its own name, as often as it happened."""
    wrong = 0

    def instead(number: int) -> int | None:
        nonlocal wrong
        # The first one shows that there is an API at all.
        if number == 1 or number % 2:
            return None
        wrong += 1
        return status

    front.instead = instead
    await probe_meanwhile("run", *options(front, ca, tmp_path), *QUICK)
    reasons = Counter(row["reason"] for row in history(tmp_path / "run"))
    reasons.pop(None)
    # A write is answered with 201, so that 200 is the wrong status there.
    assert sum(reasons.values()) == wrong > 10
    assert reasons.keys() <= {reason, "wrong status"}
    assert reasons[reason] > 0


async def test_a_stall_is_seen_by_all_who_would_have_come(
    front: Http2Front, ca: Ca, tmp_path: Path
) -> None:
    """Forty requests a second are due while one second passes without an answer."""
    # Long enough that a stall which a busy machine begins late still ends before the run does.
    running = asyncio.create_task(
        probe_meanwhile("run", *options(front, ca, tmp_path), *QUICK, "--requests=240")
    )
    while front.requests < 40:
        assert not running.done()
        await asyncio.sleep(0.05)
    # The edge and the service are in this process.
    time.sleep(1.0)  # noqa: ASYNC251 - nobody is answered meanwhile; that is the point
    await running
    rows = [row for row in history(tmp_path / "run") if not row["slow"]]
    slow = [row for row in rows if row["seconds"] > 0.2]
    assert len(slow) > 20
    assert max(row["seconds"] for row in rows) > 0.9


async def test_a_certificate_of_a_stranger_is_refused(
    front: Http2Front, ca: Ca, tmp_path: Path
) -> None:
    """Before anything is sent, in words that name the options to look at."""
    other = make_ca(tmp_path / "other")
    given = [o for o in options(front, ca, tmp_path) if not o.startswith("--ca")]
    run = await probe_meanwhile("run", *given, f"--ca={other.certificate}")
    assert run.returncode == 1
    assert "broken TLS" in run.stderr
    assert "Look at --url, --ca and --address" in run.stderr
