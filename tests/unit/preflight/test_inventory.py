"""A wrong inventory is refused with host, variable, problem and example, all at once."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest
import yaml

from roles.preflight.filter_plugins.preflight_inventory import preflight_inventory
from roles.preflight.filter_plugins.preflight_table import preflight_problems

ROOT = Path(__file__).parents[3]
ROLES = str(ROOT / "roles")
KEY = "ssh-ed25519 " + "A" * 68
LISTS = yaml.safe_load((ROOT / "playbooks/group_vars/all/secrets.yml").read_text())
REQUIRED, OPTIONAL = LISTS["gtsd_secrets"], LISTS["gtsd_optional_secrets"]


class Inventory:
    """One that is right: an edge, two app hosts and three of databases."""

    def __init__(self) -> None:
        self.groups: dict[str, list[str]] = {
            "edge": ["edge1"],
            "app": ["app1", "app2"],
            "database": ["db1", "db2", "db3"],
            "cache": ["db1", "db2", "db3"],
            "ungrouped": [],
        }
        names = ["edge1", "app1", "app2", "db1", "db2", "db3"]
        self.groups["all"] = names
        passwords = {name: secrets.token_urlsafe(32) for name in REQUIRED}
        page: dict[str, Any] = {
            "gtsd_domain": "api.example.com",
            "gtsd_version": "1.4.0",
            "gtsd_environment": "staging",
            "acme_email": "ops@example.com",
            "acme_directory_url": "https://ca.example.com:14000/dir",
            "base_admins": [{"name": "ann", "keys": [KEY]}],
            "ansible_user": "debian",
        }
        self.hosts: dict[str, dict[str, Any]] = {
            name: {
                **page,
                **passwords,
                "gtsd_address": f"10.0.0.{number}",
                "gtsd_host_name": f"{name}.gtsd.internal",
            }
            for number, name in enumerate(names, 11)
        }

    def everywhere(self, **values: Any) -> None:
        """Set variables on all hosts; None takes them away."""
        for variables in self.hosts.values():
            variables.update(values)

    def problems(self, *more_groups: str) -> list[tuple[str, str, str]]:
        """Host, variable and problem of each; an example there always is."""
        found = preflight_inventory(
            self.hosts, self.groups, ROLES, REQUIRED, OPTIONAL, [*more_groups]
        )
        assert all(problem["example"] for problem in found)
        return [(p["host"], p["variable"], p["problem"]) for p in found]


@pytest.fixture
def inventory() -> Inventory:
    """An inventory without a fault."""
    return Inventory()


def test_a_right_inventory_has_no_problem(inventory: Inventory) -> None:
    """The control of all the tests below."""
    assert inventory.problems() == []


def test_an_unknown_group_is_named_with_the_one_that_was_meant(inventory: Inventory) -> None:
    """A group of the operator's own is allowed once it is told."""
    inventory.groups["databse"] = ["db1"]
    inventory.groups["frankfurt"] = ["db1"]
    assert inventory.problems("frankfurt") == [
        ("db1", "group databse", "is unknown: did you mean database?")
    ]
    assert ("db1", "group frankfurt", "is unknown, no playbook reads it") in inventory.problems()


def test_each_needed_group_has_a_host_and_a_majority(inventory: Inventory) -> None:
    """No database host, and four of them, are both refused; so is a host that would do nothing."""
    inventory.groups["database"] = []
    inventory.groups["cache"] = ["db1", "db2"]
    inventory.groups["all"].append("spare")
    inventory.hosts["spare"] = {**inventory.hosts["db1"], "gtsd_address": "10.0.0.99"}
    inventory.hosts["spare"]["gtsd_host_name"] = "spare.gtsd.internal"
    assert inventory.problems() == [
        ("-", "group database", "has no host, and there must be one"),
        (
            "db1, db2",
            "group cache",
            "has 2 hosts, an even number of voters of Sentinel: one that fails takes the majority",
        ),
        ("db3, spare", "groups", "is in no group, so it would do nothing"),
    ]


def test_addresses_are_addresses_and_differ(inventory: Inventory) -> None:
    """Two hosts of one address would overwrite each other."""
    inventory.hosts["db2"]["gtsd_address"] = "10.0.0.14"
    inventory.hosts["app1"]["gtsd_address"] = "app1.example.com"
    assert inventory.problems() == [
        ("app1", "gtsd_address", "is 'app1.example.com', not an IP address"),
        ("db2", "gtsd_address", "is 10.0.0.14, as on db1: each host needs its own"),
    ]


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("gtsd_domain", None, "is missing"),
        ("gtsd_domain", "https://api.example.com", "is not the name of a host (https://"),
        ("gtsd_domain", "api_example.com", "is not the name of a host (api_example.com)"),
        ("gtsd_domain", "10.0.0.1", "is not the name of a host"),
        ("gtsd_domain", "localhost", "is not the name of a host"),
        ("gtsd_version", "latest", "is not a version (latest)"),
        ("gtsd_environment", "prod", "must be staging or production (prod)"),
        ("acme_email", "ops", "is not an address of mail (ops)"),
        ("acme_directory_url", "http://ca.example.com/", "is not the https:// address"),
        ("base_admins", [], "must be a list of people"),
        ("base_admins", [{"name": "ann"}], "has an entry without a name or without keys"),
        ("base_admins", [{"name": "ann", "keys": ["AAAA"]}], "has a key of ann that is no public"),
    ],
)
def test_a_malformed_page_is_refused(
    inventory: Inventory, variable: str, value: Any, problem: str
) -> None:
    """One line for all hosts, since they share the page."""
    inventory.everywhere(**{variable: value})
    found = [line for line in inventory.problems() if line[1] == variable]
    assert [line[0] for line in found] == ["all hosts"]
    assert found[0][2].startswith(problem)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "is missing"),
        ("hunter2", "is weak: it has 7 characters, fewer than 32"),
        ("a" * 40, "is weak: it has fewer than 8 different characters"),
        (
            "change-me-this-is-a-secret-password-key",
            "is weak: it is made of words, like an example",
        ),
    ],
)
def test_missing_and_weak_secrets_are_told_without_their_value(
    inventory: Inventory, value: str, problem: str
) -> None:
    """The service's own rules of strength, before any host has the secret."""
    inventory.everywhere(postgresql_app_password=value)
    assert inventory.problems() == [("all hosts", "postgresql_app_password", problem)]
    assert not value or value not in str(inventory.problems())


def test_a_missing_vault_is_one_problem_and_not_seventeen(inventory: Inventory) -> None:
    """Whoever forgot the vault is told so, once."""
    inventory.everywhere(**dict.fromkeys(REQUIRED))
    ((host, _, problem),) = inventory.problems()
    assert host == "all hosts"
    assert problem == "is missing, and all the other secrets too: there is no vault"


def test_one_secret_for_two_purposes_is_refused(inventory: Inventory) -> None:
    """Whoever learns the one would have the other."""
    inventory.everywhere(redis_app_password=inventory.hosts["db1"]["gtsd_jwt_secret"])
    assert inventory.problems() == [
        ("all hosts", "gtsd_jwt_secret", "is the same as redis_app_password")
    ]


def test_the_object_stores_keys_have_its_own_form(inventory: Inventory) -> None:
    """They are given by a provider, so only well-known ones are refused."""
    inventory.everywhere(gtsd_s3_access_key_id="AKIA1", gtsd_s3_secret_access_key="minioadmin")
    assert inventory.problems() == [
        ("all hosts", "gtsd_s3_secret_access_key", "is a well-known one")
    ]


def test_a_mistyped_variable_is_found_where_it_stands(inventory: Inventory) -> None:
    """With a role's prefix or nearly so; variables of Ansible and of others are left alone."""
    inventory.hosts["db1"]["postgresql_max_conections"] = 200
    inventory.hosts["app1"]["acme_emial"] = "x"
    inventory.everywhere(my_own=1, ansible_port=22, __private=1)
    assert inventory.problems() == [
        ("app1", "acme_emial", "is read by nothing: did you mean acme_email?"),
        (
            "db1",
            "postgresql_max_conections",
            "is read by nothing: did you mean postgresql_max_connections?",
        ),
    ]


def test_the_page_of_problems_has_all_four_parts(inventory: Inventory) -> None:
    """Host, variable, problem and example, in words."""
    inventory.everywhere(gtsd_domain="x")
    found = preflight_inventory(inventory.hosts, inventory.groups, ROLES, REQUIRED, OPTIONAL, [])
    assert preflight_problems(found) == (
        "1 problem in the inventory; nothing was changed.\n\n"
        "all hosts: gtsd_domain is not the name of a host (x)\n"
        "    example: gtsd_domain: api.example.com"
    )


def test_a_template_that_fails_counts_as_missing(inventory: Inventory) -> None:
    """A value over facts cannot be known before hosts were asked; that must not be a traceback."""

    class Failing(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            if key == "gtsd_domain":
                raise RuntimeError("'ansible_facts' is undefined")
            return super().get(key, default)

    inventory.hosts["db1"] = Failing(inventory.hosts["db1"])
    assert inventory.problems() == [("db1", "gtsd_domain", "is missing")]
