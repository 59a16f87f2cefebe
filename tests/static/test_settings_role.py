"""A setting end to end, on the hosts' side: inventory, role, environment file, units, service."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gtsd import settings
from gtsd.settings import Setting

# Named by the inventory for all roles, not only for this one.
VARIABLE = {"app_env": "gtsd_environment"}
# Come with the release, and from the socket: whoever sets them on a host would be lying.
# The worker's port is as the program has it: its door must find it.
NOT_ON_A_HOST = {"app_version", "git_sha", "host", "port", "worker_port"}
# Follow from the inventory, where the service itself can only assume one.
DERIVED = {"app_env", "hosts", "instances", "public_url"}
_LINE = re.compile(r"^([A-Z][A-Z0-9_]+)=\{\{ (gtsd_\w+)(?: \| [^}]+)? \}\}$", re.MULTILINE)
# Units whose sandbox holds the same code.
_RUNS_CODE = ("gtsd-api@", "gtsd-worker", "gtsd-trial@", "gtsd-standin@")
_CREDENTIAL = re.compile(r"^LoadCredential=(\w+):/etc/gtsd/credentials/(\w+)$", re.MULTILINE)


def variable(setting: Setting) -> str:
    """The role's variable for a setting."""
    return VARIABLE.get(setting.field, f"gtsd_{setting.field}")


def lines(template: str) -> dict[str, str]:
    """Role variable by environment variable, out of the template of the environment file."""
    return dict(_LINE.findall(template))


def shown(value: Any) -> str:
    """A value of a YAML file, as the template writes it into the environment."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.fixture(scope="module")
def role(root: Path) -> Path:
    """The folder of the role."""
    return root / "roles" / "gtsd"


@pytest.fixture(scope="module")
def template(role: Path) -> str:
    """The template of the environment file."""
    return (role / "templates" / "etc" / "gtsd" / "gtsd.env.j2").read_text()


@pytest.fixture(scope="module")
def defaults(role: Path) -> dict[str, Any]:
    """What the role assumes."""
    loaded: dict[str, Any] = yaml.safe_load((role / "defaults" / "main.yml").read_text())
    return loaded


@pytest.fixture(scope="module")
def options(role: Path) -> dict[str, dict[str, Any]]:
    """What the role says of its variables."""
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())
    loaded: dict[str, dict[str, Any]] = specs["argument_specs"]["main"]["options"]
    return loaded


def _plain() -> list[Setting]:
    return [s for s in settings.TABLE if not s.env.secret and s.field not in NOT_ON_A_HOST]


def _secret() -> list[Setting]:
    return [s for s in settings.TABLE if s.env.secret]


def test_the_environment_file_has_every_setting_and_no_other(template: str) -> None:
    """What an inventory says reaches the service under the one name; no secret is among it."""
    assert lines(template) == {s.env.name: variable(s) for s in _plain()}
    others = [line for line in template.splitlines() if line and not line.startswith("#")]
    assert len(others) == len(_plain())


def test_the_role_knows_every_setting(options: dict[str, dict[str, Any]]) -> None:
    """A variable for each setting that a host may have, secrets included."""
    wanted = {variable(s) for s in [*_plain(), *_secret()]}
    assert wanted <= options.keys()


def test_every_variable_of_the_role_is_used(role: Path, options: dict[str, Any]) -> None:
    """A variable that nothing reads is a promise that nothing keeps."""
    files = [*role.glob("tasks/*"), *role.glob("vars/*"), *role.rglob("*.j2")]
    text = "\n".join(file.read_text() for file in files)
    assert [name for name in options if not re.search(rf"\b{name}\b", text)] == []


def test_defaults_of_role_and_service_are_the_same(defaults: dict[str, Any]) -> None:
    """Nobody has to ask which of the two counts."""
    plain = [s for s in _plain() if s.field not in DERIVED]
    assert {s.field: shown(defaults[variable(s)]) for s in plain} == {
        s.field: s.shown(s.default) for s in plain
    }


def test_described_defaults_are_the_defaults(
    defaults: dict[str, Any], options: dict[str, dict[str, Any]]
) -> None:
    """The specification of the arguments and the manual agree; what is required has no default."""
    assert {name: o["default"] for name, o in options.items() if "default" in o} == defaults
    required = {name for name, o in options.items() if o.get("required")}
    given = {"gtsd_version", "gtsd_environment", "gtsd_release_signers", "gtsd_jwt_secret"}
    assert required == given


def test_secrets_are_never_shown(options: dict[str, dict[str, Any]]) -> None:
    """Ansible is told of each secret that it is one."""
    assert [s.field for s in _secret() if not options[variable(s)].get("no_log")] == []


def test_every_secret_is_written_and_handed_to_the_units(root: Path, role: Path) -> None:
    """A credential for each secret, no other, under the setting's own name; the wrapper, too."""
    names = {s.env.credential for s in _secret()}
    variables = yaml.safe_load((role / "vars" / "main.yml").read_text())
    assert variables["__gtsd_credentials"].keys() == names
    for name in _RUNS_CODE:
        unit = (root / "systemd" / f"{name}.service").read_text()
        assert dict(_CREDENTIAL.findall(unit)) == {name: name for name in names}
    wrapper = (root / "systemd" / "bin" / "gtsd").read_text()
    assert [name for name in names if not re.search(rf"\b{name}\b", wrapper)] == []


def test_the_sandbox_of_the_others_is_that_of_the_api(root: Path) -> None:
    """What is made tighter for one is so for all; what is there for a while starts at no boot."""
    units = [root / "systemd" / f"{name}.service" for name in _RUNS_CODE]
    api, worker, *passing = (unit.read_text().partition("LimitCORE=0\n")[2] for unit in units)
    assert "SystemCallFilter" in api
    assert worker == api
    assert set(passing) == {api.partition("\n[Install]\n")[0]}


def test_only_migrations_have_the_owners_address(root: Path) -> None:
    """The API cannot change the schema, whatever it is made to do."""
    unit = (root / "systemd" / "gtsd-migrate@.service").read_text()
    assert _CREDENTIAL.findall(unit) == [("database_url", "owner_database_url")]


def test_broken_links_are_found() -> None:
    """A line with another name, a fixed value, or behind a comment is no link."""
    text = (
        "A_B={{ gtsd_a }}\nCC={{ gtsd_c | join(',') }}\nDD=5\n#EE={{ gtsd_e }}\nff={{ gtsd_f }}\n"
    )
    assert lines(text) == {"A_B": "gtsd_a", "CC": "gtsd_c"}
    assert [shown(v) for v in (["a", "b"], True, 0.25, "")] == ["a,b", "true", "0.25", ""]
