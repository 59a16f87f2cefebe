"""Where `gtsd dev` keeps its data, and that only one process uses it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gtsd.dev import state
from gtsd.dev.errors import DevError


@pytest.mark.parametrize(
    ("environ", "user", "folder"),
    [
        ({"GTSD_STATE_DIR": "/srv/gtsd"}, 0, "/srv/gtsd"),
        ({"GTSD_STATE_DIR": "/srv/gtsd", "XDG_STATE_HOME": "/x"}, 1000, "/srv/gtsd"),
        ({"XDG_STATE_HOME": "/x"}, 0, "/var/lib/gtsd-dev"),
        ({"XDG_STATE_HOME": "/x"}, 1000, "/x/gtsd"),
        ({}, 1000, "/home/ada/.local/state/gtsd"),
        ({"GTSD_STATE_DIR": "", "XDG_STATE_HOME": ""}, 1000, "/home/ada/.local/state/gtsd"),
        ({"GTSD_STATE_DIR": "~/data"}, 1000, "/home/ada/data"),
    ],
)
def test_the_folder_is_where_people_look_for_it(
    environ: dict[str, str], user: int, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As told, else by the convention for users, else outside of root's home."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setenv("HOME", "/home/ada")
    assert state.state_folder(environ) == Path(folder)


def test_a_folder_in_use_is_refused_with_the_process(server_folder: Path) -> None:
    """Two at a time would fight for the same servers; one after the other is fine."""
    with (
        state.opened(server_folder / "a" / "b") as folder,
        pytest.raises(DevError, match=rf"already runs \(process {os.getpid()}\)"),
        state.opened(folder),
    ):
        pytest.fail("opened twice")
    with state.opened(folder):
        assert folder.exists()


def test_a_folder_of_something_else_is_left_alone(server_folder: Path) -> None:
    """GTSD_STATE_DIR=/var/lib as root would otherwise take over other programs' folders."""
    (server_folder / "redis").mkdir()
    with (
        pytest.raises(DevError, match="holds files of something else"),
        state.opened(server_folder),
    ):
        pytest.fail("taken over")
    assert [path.name for path in server_folder.iterdir()] == ["redis"]


def test_a_file_in_place_of_the_folder_is_named(server_folder: Path) -> None:
    """Permissions do not bind root, so this stands for every folder that cannot be used."""
    (server_folder / "file").write_text("")
    with pytest.raises(DevError, match=r"cannot be used \(File exists\); name another one"):
        state.opened(server_folder / "file").__enter__()


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_folder_without_write_permission_is_named(server_folder: Path) -> None:
    """In the same words."""
    server_folder.chmod(0o500)
    with pytest.raises(DevError, match="cannot be"):
        state.opened(server_folder / "inner").__enter__()
    with pytest.raises(DevError, match="cannot be written to"):
        state.opened(server_folder).__enter__()


def test_folders_are_passable_and_closed_whatever_the_umask_says(server_folder: Path) -> None:
    """The servers' account has to pass through; nobody has to list."""
    before = os.umask(0o077)
    try:
        with state.opened(server_folder / "a" / "b") as folder:
            modes = [path.stat().st_mode & 0o777 for path in (folder.parent, folder)]
    finally:
        os.umask(before)
    assert modes == [0o755, 0o711 if os.geteuid() == 0 else 0o700]


def test_the_signing_secret_is_made_once_and_for_us_alone(server_folder: Path) -> None:
    """Tokens have to be good after a restart."""
    secret = state.signing_secret(server_folder)
    assert len(secret) >= 32
    assert state.signing_secret(server_folder) == secret
    assert (server_folder / "jwt-secret").stat().st_mode & 0o777 == 0o600
