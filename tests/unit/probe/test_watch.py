"""What a gate believes, and what it says."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probe.errors import ProbeError
from probe.folder import Folder, Working
from probe.watch import gate, stop


class Probe:
    """A client that lives in this process and says what it is told to."""

    def __init__(self, path: Path) -> None:
        self.folder = Folder(path)
        self.working = Working(self.folder)
        self.rows: list[dict[str, Any]] = []

    def request(self, reason: str | None = None, ago: float = 0.0) -> None:
        """One more."""
        row = {
            "scheduled": time.time() - ago,
            "seconds": 0.01,
            "method": "GET",
            "route": f"/v1/tasks/{len(self.rows)}",
            "kind": "read",
            "protocol": "HTTP/2",
            "connection": "kept",
            "address": "10.0.0.5",
            "reason": reason,
            "failure": "answered 502." if reason else None,
        }
        self.rows.append(row)
        self.working.keep(row)

    def tell(self, phase: str = "running", p99: float | None = 0.034, requests: int = 20) -> None:
        """State of now."""
        failed = sum(row["reason"] is not None for row in self.rows)
        recent = {"seconds": 10, "requests": requests, "p99": p99}
        counts = {"requests": len(self.rows), "failed": failed, "accounts": 2}
        self.working.tell({"phase": phase, "doing": "calling", **counts, "recent": recent})


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Probe]:
    """It has asked ten times, and was answered."""
    found = Probe(tmp_path)
    for _ in range(10):
        found.request()
    found.tell()
    yield found
    found.working.close()


def asked(client: Probe, **options: Any) -> str:
    """The gate's sentence."""
    usual = {"max_failed": 0, "max_p99": None, "since": None, "patience_s": 0.0}
    return gate(client.folder, **{**usual, **options})


def test_a_gate_says_in_one_sentence_that_all_is_well(client: Probe) -> None:
    """With the figures that it is decided by."""
    assert asked(client) == "0 of 10 requests failed; p99 34 ms."


def test_a_gate_names_the_first_three_failures(client: Probe) -> None:
    """What, when, over what and why; and those that are allowed do not count."""
    for _ in range(4):
        client.request("server error")
    client.tell()
    with pytest.raises(ProbeError) as red:
        asked(client)
    assert str(red.value).startswith("4 of 14 requests failed: ")
    assert str(red.value).count("server error, answered 502") == 3
    assert "GET /v1/tasks/10 (read, HTTP/2, kept connection at 10.0.0.5)" in str(red.value)
    assert asked(client, max_failed=4).startswith("4 of 14 ")
    with pytest.raises(ProbeError):
        asked(client, max_failed=3)


def test_a_gate_can_look_at_what_came_since(client: Probe) -> None:
    """After a revert, what had failed before it says nothing."""
    client.request("no answer", ago=60.0)
    client.request()
    client.tell()
    with pytest.raises(ProbeError):
        asked(client)
    assert asked(client, since=time.time() - 30).startswith("0 of 11 ")
    with pytest.raises(ProbeError):
        asked(client, since=time.time() - 90)


def test_what_came_since_is_found_in_a_long_history(tmp_path: Path) -> None:
    """Without reading all of it; each request counts, wherever the search begins."""
    client = Probe(tmp_path)
    for number in range(5000):
        client.request(ago=5000.0 - number)
    client.tell()
    for ago in (0.5, 3.0, 1234.0, 4999.0, 9999.0):
        since = time.time() - ago
        every = [row for row in client.rows if row["scheduled"] + row["seconds"] >= since]
        assert list(client.folder.rows(since)) == every
    client.working.close()


def test_a_gate_fails_where_requests_are_slow(client: Probe) -> None:
    """The bound is inclusive; without one nothing is too slow."""
    client.tell(p99=0.5)
    assert asked(client, max_p99=0.5)
    with pytest.raises(ProbeError, match="500 ms or more in the last 10 s; 499 ms are allowed"):
        asked(client, max_p99=0.499)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"phase": "preparing"}, "is preparing"),
        ({"phase": "stopping"}, "is stopping"),
        ({"requests": 0}, "No request was answered for 10 s"),
    ],
)
def test_a_client_that_does_not_call_is_no_proof(
    told: dict[str, Any], words: str, client: Probe
) -> None:
    """It lives and says so, and nothing shows that the service does."""
    client.tell(**told)
    with pytest.raises(ProbeError, match=words):
        asked(client)


def test_a_stuck_or_dead_client_is_no_proof(client: Probe) -> None:
    """Its last figures were good, and are of the past."""
    state = json.loads(client.folder.state_file.read_text())
    client.folder.state_file.write_text(json.dumps({**state, "at": time.time() - 6}))
    with pytest.raises(ProbeError, match="said nothing for 6 s"):
        asked(client)
    client.working.close()
    with pytest.raises(ProbeError, match="is dead, so nothing shows"):
        asked(client)
    with pytest.raises(ProbeError, match="died before it was stopped, after 10 requests"):
        stop(client.folder)


def test_where_nothing_ran_the_gate_says_so(tmp_path: Path) -> None:
    """A folder that was mistyped is not green."""
    with pytest.raises(ProbeError, match="No outside client has run in"):
        gate(Folder(tmp_path / "typo"), 0, None, None, 0.0)
