"""One VM alone: its releases are not noticed either, it tells whether all is well, and who asks."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.machines.tested import TestedFleet
from tests.fleet.releasing import build, current, kept_otherwise, outside

pytestmark = [pytest.mark.both_releases, pytest.mark.timeout(900)]

RATE = 20.0


@contextmanager
def receiver() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Somebody who wants to be told: an address, and what came."""
    told: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: the test looks at what came."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook", told
        finally:
            server.shutdown()
            thread.join()


def test_one_host_releases_and_goes_back_without_a_failed_request(
    fleet: TestedFleet, tmp_path: Path
) -> None:
    """One instance serves while the other restarts; those who want to be told are."""
    (base,) = set(current(fleet).values())
    version = build(fleet)
    with receiver() as (address, told), outside(fleet, tmp_path, RATE) as client:
        hooks = json.dumps({"release_webhooks": [address]})
        forward = fleet.play("release.yml", "-e", f"version={version}", "-e", hooks, *client.lent)
        assert forward.rc == 0, forward.stdout[-4000:]
        assert set(current(fleet).values()) == {version}
        well = fleet.play("verify.yml")
        assert well.rc == 0, well.stdout[-4000:]
        assert " 0 red, " in well.stdout or "\n0 red, " in well.stdout.replace("        ", "")
        back = fleet.play("rollback.yml", "-e", hooks)
        assert back.rc == 0, back.stdout[-4000:]
        assert set(current(fleet).values()) == {base}
    assert client.failures() == {}
    assert kept_otherwise(fleet, tmp_path) == {}
    assert [note["event"] for note in told] == ["started", "released", "rolled back"]
    assert (told[1]["version"], told[1]["previous"]) == (version, base)


def test_what_is_not_well_is_told(fleet: TestedFleet) -> None:
    """An instance that is down is red, and a file changed by hand; nothing is changed by asking."""
    name = fleet.names("app")[0]
    # With its socket, which starts it for whoever asks: Prometheus does, all the time.
    both = "gtsd-api@2.socket gtsd-api@2.service"
    # In its place, as it is one file for all releases that have it.
    file = "file=$(ls /opt/gtsd/current/venv/lib/python3*/site-packages/aiopg/__init__.py)"
    spoil = f"{file}; cp $file /run/kept; echo '# by hand' >> $file"
    mend = f"{file}; cat /run/kept > $file; rm /run/kept"
    fleet.host(name).run_expect([0], f"systemctl stop {both}; {spoil}")
    try:
        asked = fleet.play("verify.yml")
        assert asked.rc != 0
        assert f"{name}: health" in asked.stdout, asked.stdout[-3000:]
        assert f"{name}: program" in asked.stdout, asked.stdout[-3000:]
        assert asked.changes == []
    finally:
        fleet.host(name).run_expect([0], f"{mend}; systemctl start {both}")


def test_the_ledger_is_shipped_with_the_logs(fleet: TestedFleet) -> None:
    """Each record is a line of its own in the journal, and the chain is whole."""
    host = fleet.host(fleet.names("app")[0])
    logged = [
        json.loads(line)
        for line in host.check_output("journalctl -t gtsd-ledger -o cat --no-pager").splitlines()
    ]
    recorded = json.loads(host.check_output("gtsd deploys ledger --json --limit 1000"))["records"]
    assert [row["hash"] for row in logged] == [row["hash"] for row in recorded]
    assert host.run("gtsd deploys verify").rc == 0
