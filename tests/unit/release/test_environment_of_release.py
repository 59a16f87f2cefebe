"""A release's environment of Python: from its wheels, or from a release with the same packages."""

from __future__ import annotations

import ensurepip
import hashlib
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
        f"{about}/RECORD": f"{name}/__init__.py,,\n{about}/METADATA,,\n{about}/RECORD,,\n",
    }
    with zipfile.ZipFile(file, "w") as wheel:
        for path, content in told.items():
            # With no time of day, or wheels with the same in them would differ.
            wheel.writestr(zipfile.ZipInfo(path), content)
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"


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
    copied = environment.make(release, Path(sys.executable), PIP)
    (release / ".complete").touch()
    return copied


def _says(release: Path) -> str:
    code = "import gtsd, need; print(gtsd.VERSION, need.ONE)"
    python = str(release / "venv/bin/python")
    # -I: not the service of this checkout.
    command = [python, "-I", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _packages(release: Path) -> list[Path]:
    return list((release / "venv/lib").glob("python3*/site-packages/*"))


def test_the_same_packages_are_copied_from_a_release_that_is_there(tmp_path: Path) -> None:
    """The service's own is installed anew, and neither release has a file of the other."""
    first, second = _unpacked(tmp_path, "1.0.0"), _unpacked(tmp_path, "1.1.0")
    assert (_made(first), _made(second)) == ("", "1.0.0")
    assert (_says(first), _says(second)) == ("1.0.0 1\n", "1.1.0 1\n")
    assert not (second / "wheels").exists()
    names = {path.name for path in _packages(second)}
    assert {"gtsd-1.1.0.dist-info", "need-1.0.dist-info"} <= names
    assert "gtsd-1.0.0.dist-info" not in names
    (first / "venv/bin/python").unlink()
    for path in _packages(first):
        if path.name == "need":
            (path / "__init__.py").write_text("ONE = 2")
    assert _says(second) == "1.1.0 1\n"


def test_other_packages_come_from_wheels(tmp_path: Path) -> None:
    """Under the same version, too: it goes by the hash."""
    first, second = _unpacked(tmp_path, "1.0.0"), _unpacked(tmp_path, "1.1.0", "ONE = 11")
    assert (_made(first), _made(second)) == ("", "")
    assert _says(second) == "1.1.0 11\n"


def test_nothing_is_taken_from_a_release_that_was_given_up(tmp_path: Path) -> None:
    """The control of the first test is that it is taken where it is complete."""
    first, second = _unpacked(tmp_path, "1.0.0"), _unpacked(tmp_path, "1.1.0")
    _made(first)
    (first / ".complete").unlink()
    assert _made(second) == ""
    assert _says(second) == "1.1.0 1\n"


@pytest.mark.parametrize("name", ["gtsd", "need"])
def test_a_wheel_of_other_bytes_is_refused(tmp_path: Path, name: str) -> None:
    """By pip, which compares it with the list."""
    release = _unpacked(tmp_path, "1.0.0")
    _wheel(release / "wheels", name, "1.0.0" if name == "gtsd" else "1.0", "evil = True")
    with pytest.raises(environment.Failed, match="DO NOT MATCH THE HASHES"):
        _made(release)


def test_the_services_own_wheel_is_judged_beside_copied_ones_too(tmp_path: Path) -> None:
    """It is the one that is new."""
    first, second = _unpacked(tmp_path, "1.0.0"), _unpacked(tmp_path, "1.1.0")
    _made(first)
    _wheel(second / "wheels", "gtsd", "1.1.0", "evil = True")
    with pytest.raises(environment.Failed, match="DO NOT MATCH THE HASHES"):
        _made(second)
