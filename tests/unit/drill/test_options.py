"""Options of `gtsd drill`: a bad one is told with its name, its problem and an example."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gtsd.__main__ import run


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--stanza=a b", "letters, digits and _, not 'a b'. Example: gtsd"),
        ("--database=", "letters, digits and _"),
        ("--superuser=-x", "letters, digits and _"),
        ("--service-role=x;y", "Example: gtsd"),
        ("--folder=here", "begins with /, not 'here'. Example: /var/lib/gtsd-drill"),
        (f"--folder=/{'x' * 90}", "too long for a unix socket"),
        ("--config=/nonexistent/x", "no file /nonexistent/x. Example: /etc/pgbackrest/"),
        ("--repo=0", "whole number from 1 to 256, not '0'. Example: 1"),
        ("--postgresql-bin=/nonexistent", "no program /nonexistent/postgres. Example: /usr/lib"),
        ("--migrations=/nonexistent", "no folder /nonexistent. Example: /opt/gtsd"),
        ("--metrics-file=/x/drill.txt", "only what ends in .prom, not 'drill.txt'. Example: /var"),
        ("--spare-mb=-1", "whole number from 0"),
        ("--compare=host", "is no address of PostgreSQL"),
        ("--compare=host=x password=y", "holds a password"),
        ("--compare=postgresql://a:b@x/gtsd", "holds a password"),
    ],
)
def test_a_bad_option_is_refused_by_name(
    capsys: pytest.CaptureFixture[str], option: str, says: str
) -> None:
    """Before anything is done, by exit status 2."""
    with pytest.raises(SystemExit) as ended:
        run(["drill", option], {}, io.StringIO(), io.StringIO())
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert f"argument {option.partition('=')[0]}: " in told
    assert says in told


def call(*words: str) -> tuple[int, str, str]:
    """In this process, without anything in the environment."""
    out, errors = io.StringIO(), io.StringIO()
    status = run(["drill", *words], {}, out, errors)
    return status, out.getvalue(), errors.getvalue()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, as a unix socket below it needs it; pytest's own may be longer."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        yield Path(name)


def test_root_is_refused_before_anything_is_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL would do so after the whole restore."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    metrics = folder / "drill.prom"
    status, out, errors = call(f"--folder={folder}", f"--metrics-file={metrics}")
    assert status == 1
    assert "refuses to run as root" in errors
    assert '"cause": "prepare"' in out
    assert [path.name for path in folder.iterdir()] == ["drill.prom"]


def test_a_folder_that_is_not_there_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And metrics that cannot be written are told beside it."""
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    gone = folder / "gone"
    status, out, errors = call(f"--folder={gone}", f"--metrics-file={gone}/drill.prom")
    assert status == 1
    assert f"the folder {gone} cannot be used: No such file or directory" in errors
    assert f"the metrics cannot be written to {gone}/drill.prom" in errors
    assert '"step": "prepare"' in out


def test_a_host_without_pgbackrest_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what to install; the folder is empty again."""
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    monkeypatch.setattr("gtsd.drill.repository._PROGRAM", "/nonexistent/pgbackrest")
    status, out, errors = call(f"--folder={folder}", f"--metrics-file={folder}/drill.prom")
    assert status == 1
    assert "install pgbackrest" in errors
    assert '"step": "look"' in out
    assert not (folder / "throwaway").exists()


def test_what_nobody_thought_of_leaves_a_red_metric(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of our own must not leave yesterday's success standing."""

    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(os, "geteuid", lambda: 1)
    monkeypatch.setattr("gtsd.drill.repository.Repository.newest", broken)
    metrics = folder / "drill.prom"
    with pytest.raises(ZeroDivisionError):
        call(f"--folder={folder}", f"--metrics-file={metrics}")
    assert "gtsd_restore_ok 0.0" in metrics.read_text()
    assert not (folder / "throwaway").exists()
