"""A release that was tampered with on its way is refused by the host, which goes on as before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from requirements.release_names import archive_of, signature_of
from tests.fleet.machines.tested import TestedFleet

_CURRENT = "readlink /opt/gtsd/current && systemctl show --value --property=MainPID gtsd-api@1"


def _copy(fleet: TestedFleet, folder: Path, version: str) -> Path:
    """The release that runs, with its signature, under another version's name."""
    app = fleet.host(fleet.names("app")[0])
    current = app.check_output("readlink /opt/gtsd/current").removeprefix("releases/")
    running = archive_of(current, fleet.state)
    copy = archive_of(version, folder)
    shutil.copyfile(running, copy)
    shutil.copyfile(signature_of(running), signature_of(copy))
    return copy


@pytest.mark.parametrize(
    ("tampering", "reason"),
    [
        ("a changed byte", "its signature is not good for these bytes"),
        ("an older release", "is not below gtsd-9.9.9: this is another release"),
        ("no signature", "gtsd-9.9.9.tar.gz.sig"),
    ],
)
def test_what_was_tampered_with_is_refused_and_current_stays(
    fleet: TestedFleet, tmp_path: Path, tampering: str, reason: str
) -> None:
    """With a sentence; no process is touched, and nothing of it is left on the host."""
    archive = _copy(fleet, tmp_path, "9.9.9")
    if tampering == "a changed byte":
        data = bytearray(archive.read_bytes())
        data[len(data) // 2] ^= 1
        archive.write_bytes(data)
    if tampering == "no signature":
        signature_of(archive).unlink()
    app = fleet.host(fleet.names("app")[0])
    before = app.check_output(_CURRENT)
    told = [f"--extra-vars=gtsd_version=9.9.9 gtsd_release_archive={archive} gtsd_switches=true"]
    refused = fleet.play("site.yml", "--tags=gtsd", *told)
    assert refused.rc != 0
    assert reason in " ".join(refused.stdout.split())
    assert app.check_output(_CURRENT) == before
    assert not app.file("/opt/gtsd/releases/9.9.9").exists


def test_the_release_that_runs_was_verified(fleet: TestedFleet) -> None:
    """The control: the same archive, untouched, is what every host has unpacked in full."""
    for name in fleet.names("app"):
        host = fleet.host(name)
        assert host.file("/opt/gtsd/current/sbom.json").exists
        signers = host.file("/etc/gtsd/release-signers")
        assert (signers.user, signers.mode) == ("root", 0o644)
        assert "gtsd-release namespaces=" in signers.content_string
