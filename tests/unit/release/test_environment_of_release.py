"""A release's environment of Python: from its wheels, or from a release with the same packages."""

from __future__ import annotations

import base64
import ensurepip
import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from roles.gtsd.library import gtsd_environment as environment

_BUNDLED = Path(ensurepip.__file__).parent / "_bundled"
PIP = next(f for d in (environment._PIPS, _BUNDLED) for f in sorted(d.glob("pip-*.whl")))


def _wheel(folder: Path, name: str, version: str, text: str) -> str:
    """A wheel of one module; returns its line in a list of what to install."""
    file = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    told = {
        f"{name}/__init__.py": text,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},{_digest(content)},\n" for path, content in told.items())
    told[f"{about}/RECORD"] = f"{record}{about}/RECORD,,\n"
    with zipfile.ZipFile(file, "w") as wheel:
        for path, content in told.items():
            # With no time of day, or wheels with the same in them would differ.
            wheel.writestr(zipfile.ZipInfo(path), content)
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"


def _digest(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def _unpacked(releases: Path, version: str, need: str = "ONE = 1") -> Path:
    """A release as it lies there when its archive was judged; it needs a package."""
    release = releases / version
    (release / "wheels").mkdir(parents=True)
    lines = [
        _wheel(release / "wheels", "gtsd", version, f"VERSION = '{version}'"),
        _wheel(release / "wheels", "need", "1.0", need),
    ]
    (release / environment.list_name()).write_text("".join(lines))
    return release


def _made(release: Path) -> str:
    shared_with = environment.make(release, Path(sys.executable), PIP)
    (release / environment.MARK).touch()
    return shared_with


def _says(release: Path) -> str:
    code = "import gtsd, need; print(gtsd.VERSION, need.ONE)"
    python = str(release / "venv/bin/python")
    # -I: not the service of this checkout.
    command = [python, "-I", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _file(release: Path, name: str) -> Path:
    [folder] = (release / "venv/lib").glob("python3*/site-packages")
    return folder / name


def test_releases_with_the_same_packages_share_their_files(tmp_path: Path) -> None:
    """The service's own is installed anew, and each can be removed without the other."""
    first, second = _unpacked(tmp_path, "1.0.0"), _unpacked(tmp_path, "1.1.0")
    assert (_made(first), _made(second)) == ("", "1.0.0")
    assert (_says(first), _says(second)) == ("1.0.0 1\n", "1.1.0 1\n")
    assert not (second / "wheels").exists()
    assert _file(second, "gtsd-1.1.0.dist-info").is_dir()
    assert not _file(second, "gtsd-1.0.0.dist-info").exists()
    shared, own = "need/__init__.py", "gtsd/__init__.py"
    assert _file(first, shared).samefile(_file(second, shared))
    assert not _file(first, own).samefile(_file(second, own))
    shutil.rmtree(first)
    assert _says(second) == "1.1.0 1\n"


def test_a_file_that_is_replaced_is_so_in_one_release(tmp_path: Path) -> None:
    """As apt, sed and most editors do it."""
    first, second = _unpacked(tmp_path, "1.0.0"), _unpacked(tmp_path, "1.1.0")
    _made(first)
    _made(second)
    other = tmp_path / "other.py"
    other.write_text("ONE = 2")
    other.replace(_file(first, "need/__init__.py"))
    assert _says(second) == "1.1.0 1\n"
    assert environment.edited(second) == []


@pytest.mark.parametrize("name", ["gtsd/__init__.py", "need/__init__.py"])
def test_what_was_changed_by_hand_is_named_and_does_not_spread(tmp_path: Path, name: str) -> None:
    """By what the wheel says of each file; the control is an environment that nobody touched."""
    first, second = _unpacked(tmp_path, "1.0.0"), _unpacked(tmp_path, "1.1.0")
    _made(first)
    assert environment.edited(first) == []
    with _file(first, name).open("a") as file:
        file.write("# by hand\n")
    assert environment.edited(first) == [name]
    assert _made(second) == ""
    _file(second, name).unlink()
    assert environment.edited(second) == [name]


def test_other_packages_come_from_wheels(tmp_path: Path) -> None:
    """Under the same version, too: it goes by the hash."""
    first, second = _unpacked(tmp_path, "1.0.0"), _unpacked(tmp_path, "1.1.0", "ONE = 11")
    assert (_made(first), _made(second)) == ("", "")
    assert _says(second) == "1.1.0 11\n"


def test_nothing_is_taken_from_a_release_that_was_given_up(tmp_path: Path) -> None:
    """The control of the first test is that it is taken where it is complete."""
    first, second = _unpacked(tmp_path, "1.0.0"), _unpacked(tmp_path, "1.1.0")
    _made(first)
    (first / environment.MARK).unlink()
    assert _made(second) == ""
    assert _says(second) == "1.1.0 1\n"


@pytest.mark.parametrize("name", ["gtsd", "need"])
def test_a_wheel_of_other_bytes_is_refused(tmp_path: Path, name: str) -> None:
    """By pip, which compares it with the list."""
    release = _unpacked(tmp_path, "1.0.0")
    _wheel(release / "wheels", name, "1.0.0" if name == "gtsd" else "1.0", "evil = True")
    with pytest.raises(environment.Failed, match="DO NOT MATCH THE HASHES"):
        _made(release)


def test_the_services_own_wheel_is_judged_beside_shared_ones_too(tmp_path: Path) -> None:
    """It is the one that is new."""
    first, second = _unpacked(tmp_path, "1.0.0"), _unpacked(tmp_path, "1.1.0")
    _made(first)
    _wheel(second / "wheels", "gtsd", "1.1.0", "evil = True")
    with pytest.raises(environment.Failed, match="DO NOT MATCH THE HASHES"):
        _made(second)
