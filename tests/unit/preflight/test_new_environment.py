"""`make new-environment` writes strong secrets that Ansible can open, and never over anything."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from roles.preflight.filter_plugins.preflight_release import public_half
from tests.unit.preflight.test_inventory import OPTIONAL, REQUIRED, ROOT

_PROGRAM = "inventories/new_environment.py"
KEY = "gtsd_release_key"
_VAULT = "group_vars/all/vault.yml"


def _ansible() -> Path:
    """The programs of an environment with Ansible; `make lint` and `make rehearsal` make one."""
    places = [ROOT / ".venvs" / name / "bin" for name in ("ansible", "ansible-lint")]
    found = next((place for place in places if (place / "ansible-vault").exists()), None)
    if found is None and not os.environ.get("CI"):
        pytest.skip("needs Ansible, which `make lint` brings")
    assert found is not None, "CI runs `make lint` first, which brings Ansible"
    return found


class Checkout:
    """A copy of what the program reads, to write environments into."""

    def __init__(self, folder: Path) -> None:
        self.bin = _ansible()
        self.root = folder
        for name in ("ansible.cfg", "inventories", "playbooks/group_vars"):
            if (ROOT / name).is_dir():
                # What somebody keeps in an environment of their own stays there.
                ignored = shutil.ignore_patterns(".vault-password", "vault.yml", "pki", "rehearsal")
                shutil.copytree(ROOT / name, folder / name, ignore=ignored)
            else:
                shutil.copy(ROOT / name, folder / name)

    def make(self, name: str) -> subprocess.CompletedProcess[str]:
        """Write an environment."""
        return self.run("python", _PROGRAM, name)

    def run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        """A program of the environment with Ansible, in the checkout."""
        return subprocess.run(
            [self.bin / program, *words],
            cwd=self.root,
            env={"PATH": os.environ["PATH"], "HOME": str(self.root), "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )

    def variables(self, name: str) -> dict[str, Any]:
        """What Ansible knows of an environment's first host."""
        shown = self.run("ansible-inventory", "-i", f"inventories/{name}", "--host", "vm1")
        told: dict[str, Any] = json.loads(shown.stdout)
        return told

    def path(self, name: str) -> Path:
        """A path inside the inventories."""
        return self.root / "inventories" / name


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout without any vault."""
    return Checkout(tmp_path)


def test_a_new_environment_can_be_used_at_once(checkout: Checkout) -> None:
    """Ansible opens its vault without a flag, and every secret in it is fresh and strong."""
    sys.path.insert(0, str(ROOT / "service"))
    from gtsd.settings_strength import weakness_of_key

    assert checkout.make("eu-west").returncode == 0
    assert checkout.make("eu-north").returncode == 0
    vaults = []
    for name in ("eu-west", "eu-north"):
        text = checkout.path(f"{name}/{_VAULT}").read_text()
        assert text.startswith("$ANSIBLE_VAULT;1.1;AES256\n")
        assert set(re.sub(r"\s", "", text.partition("\n")[2])) <= set("0123456789abcdef")
        opened = checkout.run("ansible-vault", "view", f"inventories/{name}/{_VAULT}")
        assert opened.returncode == 0, opened.stderr
        vaults.append(yaml.safe_load(opened.stdout))
        assert all(f"# {optional}:" in opened.stdout for optional in set(OPTIONAL) - {KEY})
    keys = [vault.pop(KEY) for vault in vaults]
    assert keys[0] != keys[1]
    for vault in vaults:
        assert set(vault) == set(REQUIRED)
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{32,}", secret) for secret in vault.values())
        assert [weakness_of_key(secret) for secret in vault.values()] == [None] * len(vault)
    assert len({secret for vault in vaults for secret in vault.values()}) == 2 * len(REQUIRED)
    shown = checkout.run("ansible-inventory", "-i", "inventories/eu-west", "--host", "vm1")
    assert vaults[0]["gtsd_jwt_secret"] in shown.stdout


def test_hosts_are_told_the_public_half_of_the_key_that_signs(checkout: Checkout) -> None:
    """On a page that is made with the vault; for one that was there before, the line is said."""
    assert checkout.make("eu-west").returncode == 0
    told = checkout.variables("eu-west")
    assert told["gtsd_release_signers"] == [f"ssh-ed25519 {public_half(told[KEY])} eu-west"]
    made = checkout.make("production")
    told = checkout.variables("production")
    line = f"ssh-ed25519 {public_half(told[KEY])} production"
    assert made.stdout.count(line) == 1
    assert line not in told["gtsd_release_signers"]
    assert "Put this into gtsd_release_signers" in made.stdout


def test_a_release_is_signed_with_the_key_of_the_vault(checkout: Checkout) -> None:
    """As `make release ENVIRONMENT=…` does it; without its password it says which is missing."""
    assert checkout.make("eu-west").returncode == 0
    shutil.copytree(ROOT / "requirements", checkout.root / "requirements")
    shutil.copy(ROOT / "pyproject.toml", checkout.root)
    archive = checkout.root / "dist" / "gtsd-1.4.0.tar.gz"
    archive.parent.mkdir()
    archive.write_bytes(b"an archive")
    program = ["-m", "requirements.release_signature", "--version=1.4.0", "--environment=eu-west"]
    signed = checkout.run("python", *program)
    assert (signed.returncode, signed.stdout) == (0, f"{archive}.sig\n"), signed.stderr
    signers = checkout.root / "signers"
    signers.write_text(f"us {checkout.variables('eu-west')['gtsd_release_signers'][0]}\n")
    verify = ["ssh-keygen", "-Y", "verify", "-n", "gtsd-release", "-I", "us", "-f", str(signers)]
    with archive.open("rb") as content:
        subprocess.run([*verify, "-s", f"{archive}.sig"], stdin=content, check=True)
    checkout.path("eu-west/.vault-password").write_text("another\n")
    refused = checkout.run("python", *program)
    assert refused.returncode == 2
    assert "vault.yml was not opened by" in refused.stderr
    assert "BEGIN" not in refused.stderr


def test_the_password_is_for_its_owner_and_for_its_own_vault(checkout: Checkout) -> None:
    """Nobody else may read it, and it does not open another environment's vault."""
    for name in ("eu-west", "eu-north"):
        assert checkout.make(name).returncode == 0
    password = checkout.path("eu-west/.vault-password")
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    password.write_text(checkout.path("eu-north/.vault-password").read_text())
    assert checkout.run("ansible-vault", "view", f"inventories/eu-west/{_VAULT}").returncode != 0


def test_an_environment_is_completed_and_never_overwritten(checkout: Checkout) -> None:
    """The pages of production are there already; a second call changes nothing and says so."""
    page = checkout.path("production/group_vars/all/main.yml")
    page.write_text(page.read_text() + "# mine\n")
    first = checkout.make("production")
    assert first.returncode == 0
    assert page.read_text().endswith("# mine\n")
    vault = checkout.path(f"production/{_VAULT}")
    before = vault.read_bytes()
    second = checkout.make("production")
    assert second.returncode == 2
    assert "is complete; nothing was changed." in second.stderr
    assert vault.read_bytes() == before
    checkout.path("production/.vault-password").unlink()
    lost = checkout.make("production")
    assert (lost.returncode, vault.read_bytes()) == (2, before)
    assert "its password does not" in lost.stderr


def test_a_run_that_was_killed_is_completed_by_the_next(checkout: Checkout) -> None:
    """The password is written before the vault, so the vault that follows is opened by it."""
    assert checkout.make("eu-west").returncode == 0
    password = checkout.path("eu-west/.vault-password").read_text()
    checkout.path(f"eu-west/{_VAULT}").unlink()
    assert checkout.make("eu-west").returncode == 0
    assert checkout.path("eu-west/.vault-password").read_text() == password
    assert checkout.run("ansible-vault", "view", f"inventories/eu-west/{_VAULT}").returncode == 0


@pytest.mark.parametrize("name", ["", "x", "../evil", "Prod", "a b", "-i", "all", "template"])
def test_a_name_that_is_none_is_refused_with_an_example(checkout: Checkout, name: str) -> None:
    """Nothing is written then, neither here nor elsewhere."""
    before = sorted(checkout.path("").rglob("*"))
    refused = checkout.make(name)
    assert refused.returncode == 2
    assert "make new-environment NAME=" in refused.stderr or "Example: eu-west" in refused.stderr
    assert sorted(checkout.path("").rglob("*")) == before
    assert not (checkout.root / "evil").exists()


def test_two_vaults_at_once_are_told_apart_by_a_sentence(checkout: Checkout) -> None:
    """One password is all that Ansible asks for, so two environments in one call are refused."""
    for name in ("eu-west", "eu-north"):
        assert checkout.make(name).returncode == 0
    both = ["-i", "inventories/eu-west", "-i", "inventories/eu-north"]
    refused = checkout.run("ansible-inventory", *both, "--list")
    assert refused.returncode != 0
    assert "Several vaults at once" in refused.stdout + refused.stderr
