"""The builder of releases: same input, same bytes; nothing of this machine inside."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
import time
from pathlib import Path

import pytest
from cyclonedx.validation.json import JsonStrictValidator

from requirements import release
from requirements.release_names import ROOT, VERSION
from requirements.release_sbom import SCHEMA, sbom


def _made(folder: Path, name: str) -> Path:
    """A release of two files, packed."""
    made = folder / name / "gtsd-1.4.0"
    (made / "bin").mkdir(parents=True)
    (made / "bin" / "gtsd").write_text("#!/bin/sh\n")
    (made / "release.env").write_text("APP_VERSION=1.4.0\n")
    release.add_description(made, "1.4.0", "4f2a9c1")
    archive = folder / f"{name}.tar.gz"
    release.pack(made, archive, 1_700_000_000)
    return archive


def test_two_builds_are_the_same_bytes(tmp_path: Path) -> None:
    """Folder, user and time of the build leave no trace; another content does."""
    first = _made(tmp_path, "first")
    time.sleep(1.1)
    assert release.digest(_made(tmp_path, "second")) == release.digest(first)
    (tmp_path / "first" / "gtsd-1.4.0" / "release.env").write_text("APP_VERSION=1.4.1\n")
    release.pack(tmp_path / "first" / "gtsd-1.4.0", tmp_path / "third", 1_700_000_000)
    assert release.digest(tmp_path / "third") != release.digest(first)


def _cache(folder: Path) -> None:
    """What an earlier build would have left: a few wheels for each Python, none of them fetched."""
    lock = release.digest(ROOT / "requirements" / "runtime.txt")[:12]
    for python in release.PYTHONS:
        place = folder / "wheels" / f"{python}-{lock}"
        place.mkdir(parents=True)
        tag = f"cp{python.replace('.', '')}"
        for name in ("tornado-6.6.1-py3-none-any.whl", f"cffi-2.1.1-{tag}-{tag}-linux_x86_64.whl"):
            (place / name).write_text(name)


def test_one_commit_builds_the_same_bytes_anywhere(tmp_path: Path) -> None:
    """All of it, the service's wheel as well, in another folder, later, under another umask."""
    digests = []
    for name, umask in (("here", 0o022), ("there", 0o077)):
        _cache(tmp_path / name)
        before = os.umask(umask)
        try:
            digests.append(release.digest(release.build("1.4.0", tmp_path / name)))
        finally:
            os.umask(before)
        time.sleep(2.1)  # a zip's times have two seconds between them
    assert digests[0] == digests[1]
    assert release.digest(release.build("1.4.1", tmp_path / "here")) != digests[0]


def test_a_build_tells_what_is_inside(tmp_path: Path) -> None:
    """The bill of materials has every wheel, is in the archive, and lies beside it."""
    _cache(tmp_path)
    archive = release.build("1.4.0", tmp_path)
    with tarfile.open(archive) as tar:
        wheels, bill = {}, ""
        for entry in tar:
            content = tar.extractfile(entry)
            assert content is not None
            if "/wheels/" in entry.name:
                wheels[Path(entry.name).name] = hashlib.sha256(content.read()).hexdigest()
            if entry.name == "gtsd-1.4.0/sbom.json":
                bill = content.read().decode()
    assert (tmp_path / "gtsd-1.4.0.cdx.json").read_text() == bill
    told = json.loads(bill)
    service = told["metadata"]["component"]
    assert (service["name"], service["version"]) == ("gtsd", "1.4.0")
    assert {one["hashes"][0]["content"] for one in [service, *told["components"]]} == {
        *wheels.values()
    }
    assert "pkg:pypi/tornado@6.6.1?file_name=tornado-6.6.1-py3-none-any.whl" in bill
    assert [one["version"] for one in told["components"]] == ["2.1.1", "2.1.1", "6.6.1"]
    needed = [one["dependsOn"] for one in told["dependencies"] if one["ref"] == "gtsd"]
    assert needed == [["tornado-6.6.1-py3-none-any.whl"]]


def test_the_bill_of_materials_is_valid() -> None:
    """By the format's own schema, which finds what is wrong in a broken one."""
    wheels = {"gtsd-1.4.0-py3-none-any.whl": "a" * 64, "a_b-1-py3-none-any.whl": "b" * 64}
    text = sbom("1.4.0", wheels, {"a-b"}, 1_700_000_000)
    judge = JsonStrictValidator(SCHEMA)
    assert judge.validate_str(text) is None
    assert judge.validate_str(text.replace('"SHA-256"', '"SHA-1000"')) is not None
    assert text == sbom("1.4.0", dict(reversed(wheels.items())), {"a-b"}, 1_700_000_000)
    with pytest.raises(ValueError, match="0 wheels of gtsd are in the release; one must be"):
        sbom("1.4.0", {"a_b-1-py3-none-any.whl": "b" * 64}, set(), 0)


def test_files_are_roots_and_only_programs_can_be_run(tmp_path: Path) -> None:
    """What is unpacked by root is owned by root, and nobody else may write it."""
    with tarfile.open(_made(tmp_path, "first")) as tar:
        found = {entry.name: (entry.mode, entry.uid, entry.uname) for entry in tar}
    assert found.pop("gtsd-1.4.0/bin/gtsd") == (0o755, 0, "root")
    assert set(found.values()) == {(0o644, 0, "root")}


def test_the_description_names_every_other_file(tmp_path: Path) -> None:
    """By its digest, so that a host can tell a changed one."""
    with tarfile.open(_made(tmp_path, "first")) as tar:
        content = tar.extractfile("gtsd-1.4.0/release.json")
        assert content is not None
        told = json.load(content)
        names = {entry.name.removeprefix("gtsd-1.4.0/") for entry in tar} - {"release.json"}
    assert told["files"].keys() == names
    assert (told["version"], told["commit"]) == ("1.4.0", "4f2a9c1")
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in told["files"].values())


def test_every_unit_is_shipped_to_where_systemd_looks(tmp_path: Path, root: Path) -> None:
    """A unit that is written but not shipped would never run; documents stay at home."""
    release.add_files(tmp_path)
    shipped = {path.name for path in (tmp_path / "etc").rglob("*") if path.is_file()}
    units = {
        p.name for p in (root / "systemd").rglob("*") if p.is_file() and p.parent.name != "bin"
    }
    assert units - shipped == {"README.md", "gtsd.env.example", "trial.env"}
    assert (tmp_path / "trial.env").exists()
    assert (tmp_path / "etc/systemd/system/gtsd-api@.service").exists()


@pytest.mark.parametrize(
    ("wheel", "line"),
    [
        ("gtsd-1.4.0-py3-none-any.whl", "gtsd==1.4.0"),
        ("psycopg2_binary-2.9.13-cp311-cp311-manylinux_2_17_x86_64.whl", "psycopg2-binary==2.9.13"),
    ],
)
def test_a_wheel_is_required_by_its_own_name(wheel: str, line: str) -> None:
    """As pip compares names."""
    assert release.requirement(Path(wheel)) == line


@pytest.mark.parametrize("version", ["1.4", "v1.4.0", "1.4.0/..", "1.4.0+local", "", "1.4.0 "])
def test_a_version_that_is_no_folder_is_refused(version: str) -> None:
    """It becomes a folder and the name of a unit on every host."""
    assert VERSION.fullmatch(version) is None
    assert VERSION.fullmatch("1.4.0rc1")


def test_every_directive_is_explained(root: Path) -> None:
    """Whoever reads a unit finds there why each line is in it."""
    folder = root / "systemd"
    units = (path for kind in ("service", "socket", "timer") for path in folder.glob(f"*.{kind}"))
    texts = [path.read_text() for path in units]
    used = {name for text in texts for name in re.findall(r"(?m)^(\w+)=", text)}
    plain = {"Description", "Documentation", "WantedBy"}
    told = set(re.findall(r"`(\w+)`", (folder / "README.md").read_text()))
    assert used - plain - told == set()
