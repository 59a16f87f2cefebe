"""`make release` signs with the key of the vault, or of a file, and leaves no copy of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from requirements import release
from requirements.release_names import archive_of, signature_of
from requirements.release_signature import Refused, sign
from tests.unit.release.signers import Workshop, make_key, public

ROOT = Path(__file__).parents[3]


def run(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The second half of `make release`, by a Python without Ansible."""
    kept = {name: os.environ[name] for name in ("PATH", "LC_ALL") if name in os.environ}
    program = [sys.executable, "-m", "requirements.release_signature", "--version=1.4.0"]
    return subprocess.run(
        [*program, f"--folder={folder}", *words],
        cwd=ROOT,
        env={**kept, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def signed_by(key: Path, archive: Path) -> bool:
    """Whether the signature beside the archive is that key's, for releases."""
    signers = archive.with_name("signers")
    signers.write_text(f"us {public(key)}\n")
    with archive.open("rb") as content:
        verify = ["ssh-keygen", "-Y", "verify", "-n", "gtsd-release", "-I", "us"]
        verify += ["-f", str(signers), "-s", str(signature_of(archive))]
        return subprocess.run(verify, stdin=content, check=False).returncode == 0


@pytest.fixture
def archive(workshop: Workshop) -> Path:
    """One that is not signed."""
    return workshop.archive(workshop.release(), signed=False)


def test_a_key_is_never_a_file_nor_a_word_of_a_command(
    workshop: Workshop, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its text it signs as by its file; programs that look on from within find it nowhere."""
    spy = tmp_path / "bin"
    spy.mkdir()
    found = tmp_path / "found"
    for name in ("ssh-add", "ssh-keygen"):
        real = subprocess.check_output(["sh", "-c", f"command -v {name}"], text=True).strip()
        (spy / name).write_text(
            "#!/bin/sh\n"
            f'cat /proc/[0-9]*/cmdline > "{found}.words" 2>/dev/null\n'
            f'grep -rlF "PRIVATE KEY" "{tmp_path}/files" >> "{found}"\n'
            f'exec {real} "$@"\n'
        )
        (spy / name).chmod(0o755)
    (tmp_path / "files").mkdir()
    monkeypatch.setenv("PATH", f"{spy}:{os.environ['PATH']}")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "files"))
    text = workshop.key.read_text()
    sign(archive, text)
    assert found.read_text() == ""
    assert text.splitlines()[1] not in Path(f"{found}.words").read_text(errors="replace")
    assert signed_by(workshop.key, archive)
    # The control: with the key on the disk for a moment, the same look finds it.
    (tmp_path / "files" / "key").write_text(text)
    sign(archive, text)
    assert str(tmp_path / "files" / "key") in found.read_text()


def test_a_file_of_a_key_signs_where_there_is_no_vault(workshop: Workshop, archive: Path) -> None:
    """As CI does it."""
    done = run(workshop.folder, GTSD_RELEASE_KEY_FILE=str(workshop.key))
    assert (done.returncode, done.stdout) == (0, f"{signature_of(archive)}\n")
    assert signed_by(workshop.key, archive)
    assert not signed_by(make_key(workshop.folder / "other"), archive)


def test_without_a_key_it_says_that_hosts_refuse_it(workshop: Workshop, archive: Path) -> None:
    """In one line; the archive is there all the same, to be looked at."""
    done = run(workshop.folder)
    assert done.returncode == 0
    assert done.stdout == (
        "Not signed, so hosts refuse it: make release VERSION=1.4.0 ENVIRONMENT=production,"
        " or GTSD_RELEASE_KEY_FILE=path\n"
    )
    assert archive.exists()
    assert not signature_of(archive).exists()


def test_a_key_that_does_not_sign_is_an_error(workshop: Workshop, archive: Path) -> None:
    """A wrong file, a text that is no key, and a vault that is not there each have a sentence."""
    done = run(workshop.folder, GTSD_RELEASE_KEY_FILE=f"{workshop.folder}/gone")
    assert done.returncode == 2
    assert f"{workshop.folder}/gone did not sign gtsd-1.4.0.tar.gz" in done.stderr
    with pytest.raises(Refused, match="must be an OpenSSH key without passphrase"):
        sign(archive, "hunter2")
    done = run(workshop.folder, "--environment=nosuch")
    assert done.returncode == 2
    assert "make new-environment NAME=nosuch" in done.stderr
    assert not signature_of(archive).exists()


def test_a_signature_of_other_bytes_does_not_stay(workshop: Workshop) -> None:
    """A build that came to the same bytes keeps it; another one removes it."""
    made = workshop.release()
    archive = workshop.archive(made)
    again = workshop.folder / "again"
    release.pack(made, again, 1_700_000_000)
    release.publish(again, archive)
    assert signed_by(workshop.key, archive)
    assert "it stays" in run(workshop.folder).stdout
    release.pack(made, again, 1_700_000_001)
    release.publish(again, archive)
    assert not signature_of(archive).exists()
    assert archive_of("1.4.0", workshop.folder) == archive
    digest = release.digest(archive)
    assert Path(f"{archive}.sha256").read_text() == f"{digest}  gtsd-1.4.0.tar.gz\n"
