"""What hosts tell of their certificates, without asking openssl each time."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import ROOT
from tests.support.tls import Ca, make_ca

_FILE = ROOT / "roles/exporters/files/gtsd-figures.py"


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    """Of the leaves."""
    return make_ca(tmp_path / "ca")


@pytest.fixture
def figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program, on a host that has this folder for its certificates."""
    spec = importlib.util.spec_from_file_location("gtsd_figures", _FILE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PKI", tmp_path / "pki")
    monkeypatch.setattr(module, "PUBLIC", tmp_path / "none.pem")
    return module


def _leaf(ca: Ca, folder: Path, *, expired: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    leaf = ca.issue(names=["a"], expired=expired)
    (folder / "cert.pem").write_text(leaf.certificate.read_text())


def _tell(figures: Any, target: Path) -> dict[str, float]:
    """As the timer does; what the file says of the only leaf, by the name's last part but one."""
    samples = list(figures.certificates(target))
    target.write_text(figures.page(samples))
    return {name.split("_")[-2]: value for name, _, value in samples}


def test_dates_are_asked_for_once_and_again_when_there_is_another_certificate(
    figures: Any, ca: Ca, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same figures both times; a new certificate's are its own, whatever its file's date."""
    target, leaf = tmp_path / "host.prom", tmp_path / "pki/exporters"
    asked: list[str] = []
    run = subprocess.run

    def counted(command: list[str], **options: Any) -> Any:
        asked.append(command[-1])
        options["check"] = False
        return run(command, **options)

    monkeypatch.setattr(figures.subprocess, "run", counted)
    _leaf(ca, leaf, expired=True)
    time.sleep(0.02)
    first = _tell(figures, target)
    assert first["before"] < first["after"] < time.time()
    before = len(asked)
    assert _tell(figures, target) == first
    assert asked[before:] == []
    time.sleep(0.02)
    _leaf(ca, leaf)
    os.utime(leaf / "cert.pem", (1, 1))
    assert _tell(figures, target)["after"] > time.time()


def test_what_is_no_certificate_is_left_out(figures: Any, tmp_path: Path) -> None:
    """The other figures are told all the same."""
    leaf = tmp_path / "pki/exporters"
    leaf.mkdir(parents=True)
    (leaf / "cert.pem").write_text("none")
    assert _tell(figures, tmp_path / "host.prom") == {"certificate": 0}
