"""A host unpacks what its signers made, and refuses everything else with nothing left behind."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from requirements.release import digest
from requirements.release_names import archive_of, signature_of
from requirements.release_signature import sign
from roles.gtsd.library import gtsd_archive
from tests.unit.release.signers import FILES, Workshop, make_key, public


class Host:
    """A host with a file of signers, as the role writes it, and a folder for releases."""

    def __init__(self, folder: Path, *signers: str) -> None:
        self.releases = folder / "releases"
        self.signers = folder / "release-signers"
        lines = [f'gtsd-release namespaces="gtsd-release" {key}\n' for key in signers]
        self.signers.write_text("".join(lines))

    def release(self, version: str) -> Path:
        """The folder of a release."""
        return self.releases / version

    def take(self, archive: Path, version: str = "1.4.0", max_mb: int = 64) -> dict[str, object]:
        """Ship the archive and what may lie beside it, and unpack it."""
        folder = self.release(version)
        folder.mkdir(parents=True)
        arrived = folder / "archive.tar.gz"
        shutil.copy(archive, arrived)
        if signature_of(archive).exists():
            shutil.copy(signature_of(archive), signature_of(arrived))
        places = {
            "archive": str(arrived),
            "signature": str(signature_of(arrived)),
            "signers": str(self.signers),
            "folder": str(folder),
        }
        return gtsd_archive.unpack(places, version, max_mb)


@pytest.fixture
def host(tmp_path: Path, workshop: Workshop) -> Host:
    """It knows the key of the workshop."""
    return Host(tmp_path, public(workshop.key))


def flip(file: Path, place: int) -> None:
    """Change one bit of a file."""
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)


def changed_byte(workshop: Workshop) -> Path:
    archive = workshop.archive(workshop.release())
    flip(archive, archive.stat().st_size // 2)
    return archive


def changed_signature(workshop: Workshop) -> Path:
    archive = workshop.archive(workshop.release())
    lines = signature_of(archive).read_text().splitlines()
    # The last full line is of the signature itself, those before of the key.
    lines[-2] = lines[-2][:9] + ("A" if lines[-2][9] != "A" else "B") + lines[-2][10:]
    signature_of(archive).write_text("\n".join(lines) + "\n")
    return archive


def missing_signature(workshop: Workshop) -> Path:
    return workshop.archive(workshop.release(), signed=False)


def foreign_key(workshop: Workshop) -> Path:
    archive = workshop.archive(workshop.release(), signed=False)
    sign(archive, make_key(workshop.folder / "foreign"))
    return archive


def other_purpose(workshop: Workshop) -> Path:
    archive = workshop.archive(workshop.release(), signed=False)
    command = [
        "ssh-keygen",
        "-q",
        "-Y",
        "sign",
        "-n",
        "file",
        "-f",
        str(workshop.key),
        str(archive),
    ]
    subprocess.run(command, check=True)
    return archive


def older_release(workshop: Workshop) -> Path:
    older = workshop.archive(workshop.release("1.3.0"))
    newer = archive_of("1.4.0", workshop.folder)
    signature_of(older).replace(signature_of(newer))
    return older.replace(newer)


def older_release_in_a_newer_folder(workshop: Workshop) -> Path:
    made = workshop.release("1.4.0")
    workshop.describe(made, "1.3.0")
    return workshop.archive(made)


def added_and_not_signed_again(workshop: Workshop) -> Path:
    made = workshop.release()
    workshop.archive(made)
    (made / "etc" / "more.conf").write_text("x\n")
    workshop.describe(made, "1.4.0")
    return workshop.archive(made, signed=False)


def added_and_not_described(workshop: Workshop) -> Path:
    made = workshop.release()
    (made / "etc" / "more.conf").write_text("x\n")
    return workshop.archive(made)


def described_and_not_there(workshop: Workshop) -> Path:
    made = workshop.release()
    (made / "release.env").unlink()
    return workshop.archive(made)


def changed_file(workshop: Workshop) -> Path:
    made = workshop.release()
    (made / "bin" / "gtsd").write_text("#!/bin/sh\nreboot\n")
    return workshop.archive(made)


def no_description(workshop: Workshop) -> Path:
    made = workshop.release()
    (made / "release.json").unlink()
    return workshop.archive(made)


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Callable[[Workshop], Path]:
    def make(workshop: Workshop) -> Path:
        made = tarfile.TarInfo(name)
        made.type, made.linkname = kind, link
        return workshop.with_entry(made)

    return make


def no_archive(workshop: Workshop) -> Path:
    archive = workshop.archive(workshop.release())
    archive.write_bytes(archive.read_bytes()[:-400])
    return workshop.sign(archive)


TAMPERINGS: dict[str, tuple[Callable[[Workshop], Path], str]] = {
    "a changed byte": (changed_byte, "not good for these bytes: incorrect signature"),
    "a changed signature": (changed_signature, "its signature is not good for these bytes: "),
    "no signature": (missing_signature, "it has no signature"),
    "a key of somebody else": (foreign_key, "which is none of gtsd_release_signers"),
    "a signature for another purpose": (other_purpose, "namespace does not match"),
    "an older release": (older_release, "is not below gtsd-1.4.0: this is another release"),
    "an older release in a newer folder": (
        older_release_in_a_newer_folder,
        "it is release 1.3.0 under the name of 1.4.0",
    ),
    "a file more": (added_and_not_signed_again, "its signature is not good for these bytes"),
    "a file more, signed": (added_and_not_described, "etc/more.conf is in it, but not in release"),
    "a file less, signed": (described_and_not_there, "release.env is in release.json, but not in"),
    "another file, signed": (changed_file, "bin/gtsd is not the file that release.json tells of"),
    "no description, signed": (no_description, "it has no release.json"),
    "a symbolic link, signed": (
        entry("gtsd-1.4.0/etc/x", tarfile.SYMTYPE, "/etc"),
        "'gtsd-1.4.0/etc/x' is a link",
    ),
    "a hard link, signed": (
        entry("gtsd-1.4.0/x", tarfile.LNKTYPE, "gtsd-1.4.0/release.env"),
        "'gtsd-1.4.0/x' is a link",
    ),
    "a device, signed": (entry("gtsd-1.4.0/x", tarfile.CHRTYPE), "'gtsd-1.4.0/x' is a link, a dev"),
    "a path upwards, signed": (entry("gtsd-1.4.0/../../x"), "leads out of the release"),
    "a path from the root, signed": (entry("/etc/x"), "'/etc/x' leads out of the release"),
    "a path written oddly, signed": (entry("gtsd-1.4.0//x"), "is not how that path is written"),
    "a path beside, signed": (entry("x"), "'x' is not below gtsd-1.4.0"),
    "a file twice, signed": (entry("gtsd-1.4.0/release.env"), "is in it twice"),
    "a file that is a folder": (entry("gtsd-1.4.0/bin"), "bin is both a file and a folder"),
    "half an archive, signed": (no_archive, "it is no archive"),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_what_was_tampered_with_is_refused(
    host: Host, workshop: Workshop, tmp_path: Path, tampering: str
) -> None:
    """In one sentence that says what is wrong, before anything of it is on the host."""
    make, reason = TAMPERINGS[tampering]
    archive = make(workshop)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(gtsd_archive.Refused, match=re.escape(reason)) as refused:
        host.take(archive)
    assert "\n" not in str(refused.value)
    assert not host.release("1.4.0").exists()
    assert sorted(set(tmp_path.rglob("*")) - set(before)) == [host.releases]


def test_a_good_release_is_unpacked_as_it_was_made(host: Host, workshop: Workshop) -> None:
    """The control of all the refusals: the same archive, untouched, by the same functions."""
    archive = workshop.archive(workshop.release())
    done = host.take(archive)
    folder = host.release("1.4.0")
    told = {name: (folder / name).read_text() for name in FILES}
    assert (told, done["files"]) == (FILES, len(FILES) + 1)
    assert str(done["signer"]) in _fingerprint(workshop.key)
    assert done["checksum"] == digest(archive)
    modes = {p.relative_to(folder): stat.S_IMODE(p.stat().st_mode) for p in folder.rglob("*")}
    assert modes[Path("bin/gtsd")] == modes[Path("etc/systemd")] == 0o755
    assert modes[Path("release.env")] == 0o644


def test_an_entry_more_is_unpacked_where_it_is_harmless(host: Host, workshop: Workshop) -> None:
    """The control of the refused entries: a folder may be one, by the same way of adding it."""
    folder = tarfile.TarInfo("gtsd-1.4.0/etc/empty")
    folder.type = tarfile.DIRTYPE
    assert host.take(workshop.with_entry(folder))["files"] == len(FILES) + 1


def _fingerprint(key: Path) -> str:
    done = subprocess.run(["ssh-keygen", "-l", "-f", key], capture_output=True, check=True)
    return done.stdout.decode()


def test_a_release_of_each_signer_is_taken(tmp_path: Path, workshop: Workshop) -> None:
    """While a key is replaced, both are known; afterwards the old one opens nothing."""
    new = make_key(tmp_path / "new")
    archive = workshop.archive(workshop.release())
    (tmp_path / "both").mkdir()
    Host(tmp_path / "both", public(new), public(workshop.key)).take(archive)
    (tmp_path / "one").mkdir()
    with pytest.raises(gtsd_archive.Refused, match="none of gtsd_release_signers"):
        Host(tmp_path / "one", public(new)).take(archive)


def test_what_unpacks_to_too_much_is_refused(host: Host, workshop: Workshop) -> None:
    """Before it has filled the disk; 2 MB of zeros are small as long as they are packed."""
    made = workshop.release()
    (made / "zeros").write_bytes(bytes(2 << 20))
    workshop.describe(made, "1.4.0")
    archive = workshop.archive(made)
    with pytest.raises(gtsd_archive.Refused, match="it unpacks to more than 2 MB"):
        host.take(archive, max_mb=2)
    assert host.take(archive, max_mb=3)["files"] == len(FILES) + 2


@pytest.mark.parametrize(
    ("check", "tampering"),
    [
        ("verified", "no signature"),
        ("verified", "a key of somebody else"),
        ("verified", "a signature for another purpose"),
        ("verified", "a file more"),
        ("check_description", "an older release in a newer folder"),
        ("check_description", "a file more, signed"),
        ("check_description", "another file, signed"),
        ("_misplaced", "a path upwards, signed"),
    ],
)
def test_without_its_check_a_tampering_gets_through(
    host: Host,
    workshop: Workshop,
    monkeypatch: pytest.MonkeyPatch,
    check: str,
    tampering: str,
) -> None:
    """The refusals above come from these checks: a host that leaves one out takes the archive."""
    monkeypatch.setattr(gtsd_archive, check, lambda *_: None)
    if check == "_misplaced":
        # What comes next would stop it, by another sentence.
        monkeypatch.setattr(gtsd_archive, "check_description", lambda *_: None)
    assert host.take(TAMPERINGS[tampering][0](workshop))["checksum"]
