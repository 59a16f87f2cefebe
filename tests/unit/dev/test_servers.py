"""Each embedded server: starts, keeps its data, gives up its rights, lets nobody else in."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import psycopg2
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from gtsd.dev.object_store import EmbeddedObjectStore
from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.dev.redis import EmbeddedRedis
from gtsd.dev.server import EmbeddedServer
from tests.unit.dev.clients import NOTES
from tests.unit.dev.processes import all_gone, until

KINDS = [EmbeddedPostgres, EmbeddedRedis, EmbeddedObjectStore]
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
not_root = pytest.mark.skipif(os.geteuid() == 0, reason="root does give up its rights")


@pytest.mark.parametrize("kind", KINDS)
def test_data_is_there_after_a_stop_and_a_start(
    kind: type[EmbeddedServer], server_folder: Path
) -> None:
    """By the same object, and by another one as the next process would make it."""
    note = NOTES[kind]
    server = kind(server_folder / "one")
    with server:
        note.write(server)
        pid, port = server.pid, server.port
        server.restart()
        assert note.read(server) == "kept"
        assert (server.pid != pid, server.port) == (True, port)
        pid = server.pid
    assert all_gone({pid}, 0)
    assert not server.running
    with kind(server_folder / "one") as again:
        assert note.read(again) == "kept"


@pytest.mark.parametrize("kind", KINDS)
def test_two_starts_are_one_and_two_stops_are_one(
    kind: type[EmbeddedServer], server_folder: Path
) -> None:
    """Tests share servers, and whoever cleans up need not know who started."""
    server = kind(server_folder)
    server.stop()
    pid = server.start().pid
    assert server.start().pid == pid
    server.stop()
    server.stop()
    with pytest.raises(RuntimeError, match="is not running"):
        _ = server.pid


@pytest.mark.parametrize("kind", KINDS)
def test_a_crash_is_seen_and_a_start_mends_it(
    kind: type[EmbeddedServer], server_folder: Path
) -> None:
    """As a test does that takes a dependency away, and as it comes by itself."""
    with kind(server_folder) as server:
        server.kill()
        assert not server.running
        server.start()
        os.kill(server.pid, server.crash_signal)
        assert until(lambda: not server.running)
        assert server.start().running


def test_a_crash_right_after_the_first_start_loses_no_role(server_folder: Path) -> None:
    """Also where commits are only in memory for a while, as in the servers of the tests."""
    lazy = {"synchronous_commit": "off", "wal_writer_delay": "10s"}
    with EmbeddedPostgres(server_folder, options=lazy) as server:
        server.kill()
        server.start()
        psycopg2.connect(server.dsn()).close()


@pytest.fixture(params=["postgres_server", "redis_server", "object_store"])
def server(request: pytest.FixtureRequest) -> EmbeddedServer:
    """Each of those that the tests share."""
    shared: EmbeddedServer = request.getfixturevalue(request.param)
    return shared


def test_the_server_sees_nothing_of_our_environment(server: EmbeddedServer) -> None:
    """Variables such as PGDATA or a locale that does not exist would change what it does."""
    assert "PYTEST_VERSION" in os.environ
    # Valkey writes its title over a part of them.
    assert set(psutil.Process(server.pid).environ()) <= {
        "HOME",
        "LC_ALL",
        "PATH",
        "RCLONE_AUTH_KEY",
    }


def test_no_secret_is_among_the_arguments(server: EmbeddedServer) -> None:
    """Everybody on the machine can read those, of the server and of its keeper."""
    process = psutil.Process(server.pid)
    for each in [process, *process.parents()[:1]]:
        assert each.cmdline()
        assert server.secret("password") not in " ".join(each.cmdline())


def test_only_this_machine_can_connect(server: EmbeddedServer) -> None:
    """A development store on a laptop in a café has no other protection than that."""
    connections = psutil.Process(server.pid).net_connections()
    listening = {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


def test_a_terminal_cannot_reach_the_server(server: EmbeddedServer) -> None:
    """Ctrl-C goes to a whole process group; the database has to outlive the API's draining."""
    assert os.getpgid(server.pid) != os.getpgrp()
    assert os.getsid(server.pid) != os.getsid(0)
    keeper = psutil.Process(server.pid).ppid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(keeper, number)
    assert server.answers()
    assert server.running


@root_only
def test_root_gives_up_its_rights(server: EmbeddedServer) -> None:
    """Not the user alone: the groups, too. And what root writes is out of the server's reach."""
    process = psutil.Process(server.pid)
    assert 0 not in process.uids()
    assert 0 not in process.gids()
    groups = Path(f"/proc/{server.pid}/status").read_text().split("Groups:")[1].split("\n")[0]
    assert groups.split() == []
    assert server.folder.path.stat().st_uid == 0
    assert server.data.stat().st_uid == process.uids().real
    assert server.data.stat().st_mode & 0o077 == 0
    assert (server.folder.path / "password").stat().st_mode & 0o027 == 0


@not_root
def test_an_ordinary_user_stays_who_they_are(server: EmbeddedServer) -> None:
    """And nobody else can look into the data."""
    assert psutil.Process(server.pid).uids().real == os.geteuid()
    assert server.folder.path.stat().st_mode & 0o077 == 0


def test_nobody_connects_without_the_password(
    postgres_server: EmbeddedPostgres, redis_server: EmbeddedRedis
) -> None:
    """Other users of the machine can reach 127.0.0.1 as well."""
    wrong = postgres_server.dsn().replace(postgres_server.secret("password"), "guess")
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(wrong)
    retries = Retry(NoBackoff(), 0)
    with (
        redis.Redis(port=redis_server.port, retry=retries) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_databases_are_the_applications_and_its_role_is_no_superuser(
    postgres_server: EmbeddedPostgres, database_url: str
) -> None:
    """A right that production does not give must be missed here already."""
    name = database_url.rpartition("/")[2]
    assert postgres_server.administer(
        "SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate"
        " FROM pg_database WHERE datname = %s",
        name,
    ) == [("gtsd", "UTF8", "C")]
    assert postgres_server.administer("SELECT rolsuper FROM pg_roles WHERE rolname = 'gtsd'") == [
        (False,)
    ]
    assert postgres_server.ensure_database(name) == database_url
