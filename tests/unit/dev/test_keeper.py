"""No server outlives the process that started it, however that one ends."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest

from gtsd.dev.errors import DevError
from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.dev.redis import EmbeddedRedis
from tests.unit.dev.clients import NOTES
from tests.unit.dev.processes import alive, all_gone, environment, family, python

_PARENT = """
import json, sys
from pathlib import Path
from gtsd.dev.object_store import EmbeddedObjectStore
from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.dev.redis import EmbeddedRedis
folder = Path(sys.argv[1])
servers = [kind(folder / kind.__name__).start()
           for kind in (EmbeddedPostgres, EmbeddedRedis, EmbeddedObjectStore)]
print(json.dumps([server.pid for server in servers]), flush=True)
sys.stdin.read()
"""


def test_a_killed_parent_leaves_nothing_running_and_its_data_whole(server_folder: Path) -> None:
    """`kill -9` gives no chance to clean up; the next start must not meet the old servers."""
    parent = python(["-c", _PARENT, str(server_folder)], environment())
    assert parent.stdout is not None
    servers = json.loads(parent.stdout.readline())
    everything = family(parent.pid)
    assert set(servers) < everything
    assert all(alive(pid) for pid in everything)
    with EmbeddedPostgres(server_folder / "other") as other:
        parent.kill()
        parent.communicate()
        # Already before the old one is quite gone.
        with EmbeddedPostgres(server_folder / "EmbeddedPostgres") as again:
            assert all_gone(everything)
            assert again.administer("SELECT 1") == [(1,)]
        assert other.running


@pytest.mark.parametrize("kind", [EmbeddedPostgres, EmbeddedRedis])
def test_a_killed_keeper_takes_its_server_along(
    kind: type[EmbeddedPostgres | EmbeddedRedis], server_folder: Path
) -> None:
    """Otherwise nobody would be left to end the server."""
    with kind(server_folder) as server:
        NOTES[kind].write(server)
        process = psutil.Process(server.pid)
        everything = family(process.pid)
        os.kill(process.ppid(), signal.SIGKILL)
        assert all_gone(everything)
        assert not server.running
        assert NOTES[kind].read(server.start()) == "kept"


def test_a_server_that_does_not_stop_is_killed(
    server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within its grace, so that Ctrl-C always comes to an end."""
    monkeypatch.setattr(EmbeddedRedis, "grace_seconds", 0.2)
    server = EmbeddedRedis(server_folder).start()
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    assert alive(pid)
    server.stop()
    assert all_gone({pid}, 0)


def test_a_server_that_never_answers_is_given_up(
    server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And does not stay behind."""
    monkeypatch.setattr("gtsd.dev.server._START_SECONDS", 0.3)
    seen: set[int] = set()
    server = EmbeddedRedis(server_folder)

    def silent() -> bool:
        seen.add(server.pid)
        return False

    monkeypatch.setattr(server, "answers", silent)
    with pytest.raises(DevError, match="did not start"):
        server.start()
    assert seen
    assert all_gone(seen, 0)
