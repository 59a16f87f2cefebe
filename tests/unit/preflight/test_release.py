"""A release that hosts would refuse is found before any host is asked."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from roles.preflight.filter_plugins.preflight_release import preflight_release, public_half


def _key(file: Path, passphrase: str = "", kind: str = "ed25519") -> tuple[str, str]:
    """A private key as text, and its public half as a line."""
    command = [
        "ssh-keygen",
        "-q",
        "-t",
        kind,
        "-N",
        passphrase,
        "-C",
        "production",
        "-f",
        str(file),
    ]
    subprocess.run(command, check=True)
    return file.read_text(), file.with_suffix(".pub").read_text().strip()


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, Any]:
    """Of an app host, with a release that is there and a key that hosts know."""
    private, public = _key(tmp_path / "key")
    archive = tmp_path / "gtsd-1.4.0.tar.gz"
    archive.write_bytes(b"")
    Path(f"{archive}.sig").write_bytes(b"")
    return {
        "gtsd_version": "1.4.0",
        "gtsd_release_archive": str(archive),
        "gtsd_release_signers": [public],
        "gtsd_release_key": private,
        "inventory_dir": "/checkout/inventories/eu-west",
    }


def problems(variables: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Variable, problem and example of each."""
    found = preflight_release({"app1": variables}, {"app": ["app1"]}, "/checkout")
    return [(p["variable"], p["problem"], p["example"]) for p in found]


def test_a_signed_release_of_a_known_key_has_no_problem(variables: dict[str, Any]) -> None:
    """The control of all the tests below; a vault without the key is right too, where CI has it."""
    assert problems(variables) == []
    del variables["gtsd_release_key"]
    assert problems(variables) == []
    assert preflight_release({}, {"app": []}, "/checkout") == []


def test_a_missing_archive_or_signature_says_how_to_make_it(variables: dict[str, Any]) -> None:
    """By default it is looked for where `make release` puts it."""
    archive = Path(variables["gtsd_release_archive"])
    example = "make release VERSION=1.4.0 ENVIRONMENT=eu-west"
    Path(f"{archive}.sig").unlink()
    text = f"is 1.4.0, but there is no {archive}.sig"
    assert problems(variables) == [("gtsd_version", text, example)]
    archive.unlink()
    text = f"is 1.4.0, but there is no {archive}"
    assert problems(variables) == [("gtsd_version", text, example)]
    variables["gtsd_release_archive"] = None
    text = "is 1.4.0, but there is no /checkout/dist/gtsd-1.4.0.tar.gz"
    assert problems(variables) == [("gtsd_version", text, example)]


@pytest.mark.parametrize(
    ("signers", "problem"),
    [
        (None, "is missing: hosts take no release that nobody signs"),
        ([], "is missing: hosts take no release that nobody signs"),
        ("ssh-ed25519 " + "A" * 68, "must be a list of public SSH keys"),
        (["AAAA"], "must be a list of public SSH keys"),
        (["ssh-ed25519 " + "A" * 68 + "\nssh-ed25519 " + "B" * 68], "must be a list of public"),
    ],
)
def test_signers_that_are_none_are_refused(
    variables: dict[str, Any], signers: Any, problem: str
) -> None:
    """Nothing, no list, no key, and two keys where one belongs."""
    variables["gtsd_release_signers"] = signers
    ((variable, text, _),) = problems(variables)
    assert variable == "gtsd_release_signers"
    assert text.startswith(problem)


def test_a_key_of_the_vault_is_one_that_hosts_know(
    variables: dict[str, Any], tmp_path: Path
) -> None:
    """The example is the line to put onto the page; with it, beside the old key, all is well."""
    private, public = _key(tmp_path / "new")
    variables["gtsd_release_key"] = private
    ((variable, text, example),) = problems(variables)
    assert (variable, text.startswith("is the private half of no key in")) == (
        "gtsd_release_key",
        True,
    )
    assert example == f"gtsd_release_signers: [{public.removesuffix(' production')}]"
    variables["gtsd_release_signers"].append(public + "\n")
    assert problems(variables) == []


def test_a_key_is_judged_as_a_key_and_never_told(variables: dict[str, Any], tmp_path: Path) -> None:
    """A password, a key with a passphrase, half a key and another program's are each refused."""
    locked, _ = _key(tmp_path / "locked", "correct horse battery staple")
    whole = variables["gtsd_release_key"]
    half = "\n".join([whole.splitlines()[0], "b3BlbnNzaC1rZXktdjEAAAAA", whole.splitlines()[-1]])
    for wrong in ("hunter2" * 6, locked, half, whole.replace("OPENSSH ", "")):
        variables["gtsd_release_key"] = wrong
        ((variable, text, example),) = problems(variables)
        assert (variable, text) == (
            "gtsd_release_key",
            "is no OpenSSH private key without passphrase",
        )
        assert wrong.splitlines()[-1] not in text + example


def test_the_public_half_of_any_kind_of_key_is_read(tmp_path: Path) -> None:
    """As ssh-keygen itself wrote it."""
    for kind in ("ed25519", "ecdsa", "rsa"):
        private, public = _key(tmp_path / kind, kind=kind)
        assert public_half(private) == public.split()[1]
