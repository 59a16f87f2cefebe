"""What is wrong with an inventory: everything at once, before any host is asked."""

from __future__ import annotations

import difflib
import functools
import importlib.util
import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

# A finding names its host, its variable, the problem and an example of what is right.
Problem = dict[str, str]
Variables = Mapping[str, Any]

GROUPS = ("edge", "app", "database", "cache", "backup", "monitor")
_NEEDED = ("edge", "app", "database", "cache")
# A majority of an even number is no smaller than that of the next odd one.
_ODD = {"database": "members of etcd", "cache": "voters of Sentinel"}
_LENGTH = 32
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?=.{{4,253}}$)({_LABEL}\.)+[a-z][a-z0-9-]*[a-z0-9]")
_KEY = re.compile(r"(ssh-|ecdsa-sha2-|sk-)[\w@.-]+ [A-Za-z0-9+/]{40,}={0,3}( .*)?")


def _domain(value: Any) -> str | None:
    return None if _DOMAIN.fullmatch(str(value)) else "is not the name of a host"


def _version(value: Any) -> str | None:
    right = re.fullmatch(r"\d+\.\d+\.\d+([-+.]?[0-9A-Za-z.-]+)?", str(value))
    return None if right else "is not a version"


def _environment(value: Any) -> str | None:
    return None if value in ("staging", "production") else "must be staging or production"


def _email(value: Any) -> str | None:
    name, _, domain = str(value).rpartition("@")
    wrong = not re.fullmatch(r"[\w.+-]+", name) or not _DOMAIN.fullmatch(domain)
    return "is not an address of mail" if wrong else None


def _directory(value: Any) -> str | None:
    right = re.fullmatch(r"https://[\w.:\[\]-]+/\S*", str(value))
    return None if right else "is not the https:// address of an ACME directory"


def _admins(value: Any) -> str | None:
    if not isinstance(value, list) or not value:
        return "must be a list of people, at least one: otherwise nobody could log in"
    for admin in value:
        if not isinstance(admin, Mapping) or not admin.get("name") or not admin.get("keys"):
            return "has an entry without a name or without keys"
        if any(not _KEY.fullmatch(str(key)) for key in admin["keys"]):
            return f"has a key of {admin['name']} that is no public SSH key"
    return None


# What the page of an inventory must say: the variable, what may be wrong with it, an example.
PAGE: dict[str, tuple[Callable[[Any], str | None], str]] = {
    "gtsd_domain": (_domain, "gtsd_domain: api.example.com"),
    "gtsd_version": (_version, "gtsd_version: 0.1.0"),
    "gtsd_environment": (_environment, "gtsd_environment: production"),
    "acme_email": (_email, "acme_email: operations@example.com"),
    "acme_directory_url": (
        _directory,
        "acme_directory_url: https://acme-v02.api.letsencrypt.org/directory",
    ),
    "base_admins": (_admins, 'base_admins: [{name: ann, keys: ["ssh-ed25519 AAAAC3… ann"]}]'),
}


def _problem(host: str, variable: str, problem: str, example: str) -> Problem:
    return {"host": host, "variable": variable, "problem": problem, "example": example}


def _strength() -> Any:
    """The service's own idea of a strong secret, so that no host refuses what passed here."""
    path = Path(__file__).parents[3] / "service" / "gtsd" / "settings_strength.py"
    spec = importlib.util.spec_from_file_location("gtsd_settings_strength", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def _page(path: Path) -> Mapping[str, Any]:
    return yaml.safe_load(path.read_text()) or {} if path.exists() else {}


def known_variables(roles: str, shared: Iterable[str]) -> tuple[set[str], set[str]]:
    """All variables that mean something, and the prefixes that belong to us."""
    known = {*PAGE, *shared}
    prefixes = {"gtsd"}
    for role in sorted(path for path in Path(roles).iterdir() if path.is_dir()):
        prefixes.add(role.name)
        known |= set(_page(role / "defaults" / "main.yml"))
        for entry in _page(role / "meta" / "argument_specs.yml").get("argument_specs", {}).values():
            known |= set(entry.get("options") or {})
    for page in (Path(roles).parent / "playbooks" / "group_vars" / "all").glob("*.yml"):
        known |= set(_page(page))
    return known, prefixes


def groups_wrong(groups: Mapping[str, list[str]], more: Iterable[str]) -> Iterator[Problem]:
    """Groups that nobody reads, that have nobody, or that cannot find a majority."""
    ours = {*GROUPS, *more, "all", "ungrouped"}
    for name in sorted(set(groups) - ours):
        near = difflib.get_close_matches(name, GROUPS, 1)
        hint = f": did you mean {near[0]}?" if near else ", no playbook reads it"
        example = f"one of {', '.join(GROUPS)}; or preflight_more_groups: [{name}]"
        yield _problem(
            ", ".join(groups[name]) or "-", f"group {name}", f"is unknown{hint}", example
        )
    for name in _NEEDED:
        if not groups.get(name):
            example = f"{name}: {{hosts: {{vm1: }}}}"
            yield _problem("-", f"group {name}", "has no host, and there must be one", example)
    for name, what in _ODD.items():
        count = len(groups.get(name, []))
        if count and count % 2 == 0:
            text = f"has {count} hosts, an even number of {what}: one that fails takes the majority"
            yield _problem(", ".join(groups[name]), f"group {name}", text, "1, 3 or 5 hosts")
    inside = {host for name in GROUPS for host in groups.get(name, [])}
    for host in sorted(set(groups.get("all", [])) - inside):
        yield _problem(host, "groups", "is in no group, so it would do nothing", "app: {hosts: …}")


def addresses_wrong(hostvars: Mapping[str, Variables], hosts: list[str]) -> Iterator[Problem]:
    """Addresses that are none, and addresses or names that two hosts share."""
    seen: dict[str, dict[str, str]] = {"gtsd_address": {}, "gtsd_host_name": {}}
    for host in hosts:
        address = str(read(hostvars[host], "gtsd_address") or "")
        try:
            ipaddress.ip_address(address)
        except ValueError:
            yield _problem(
                host,
                "gtsd_address",
                f"is {address!r}, not an IP address",
                "gtsd_address: 10.0.0.11",
            )
        for variable, taken in seen.items():
            value = str(read(hostvars[host], variable) or "")
            if value and value in taken:
                text = f"is {value}, as on {taken[value]}: each host needs its own"
                yield _problem(host, variable, text, "ansible_host: 10.0.0.12")
            taken.setdefault(value, host)


def read(variables: Variables, name: str) -> Any:
    """The value, or None where it is absent or made of what cannot be known yet."""
    try:
        return variables.get(name)
    except Exception:  # noqa: BLE001 - a template may fail in any way; then there is no value yet
        return None


def page_wrong(host: str, variables: Variables) -> Iterator[Problem]:
    """What the page of the inventory lacks, has malformed, or still has from the example."""
    for name, (wrong, example) in PAGE.items():
        value = read(variables, name)
        if value is None or value == "":
            yield _problem(host, name, "is missing", example)
        elif text := wrong(value):
            shown = f" ({value})" if isinstance(value, str) else ""
            yield _problem(host, name, text + shown, example)


def _weakness(name: str, value: str, *, required: bool, strength: Any) -> str | None:
    if not value:
        return "is missing" if required else None
    if not required and not name.startswith("gtsd_jwt"):
        # Given by another party, in that party's form.
        return "is a well-known one" if strength.is_default_password(value, "") else None
    if len(value) < _LENGTH:
        return f"is weak: it has {len(value)} characters, fewer than {_LENGTH}"
    text = strength.weakness_of_key(value)
    return f"is weak: {text}" if text else None


def secrets_wrong(
    host: str, variables: Variables, required: Iterable[str], optional: Iterable[str]
) -> Iterator[Problem]:
    """Secrets that are missing, guessable or used twice. No value is ever told."""
    strength = _strength()
    example = "make new-environment NAME=… writes all of them"
    values = {name: str(read(variables, name) or "") for name in (*required, *optional)}
    if not any(values[name] for name in required):
        text = "is missing, and all the other secrets too: there is no vault"
        yield _problem(host, next(iter(required)), text, example)
        return
    for name, value in values.items():
        weakness = _weakness(name, value, required=name in required, strength=strength)
        if weakness:
            yield _problem(host, name, weakness, example)
    times = Counter(value for value in values.values() if value)
    for name, value in values.items():
        if value and times[value] > 1:
            first = next(other for other, text in values.items() if text == value)
            if first != name:
                yield _problem(host, name, f"is the same as {first}", example)


def names_wrong(
    host: str, variables: Iterable[str], known: set[str], prefixes: set[str]
) -> Iterator[Problem]:
    """Variables that look like ours and are read by nothing: typing errors."""
    for name in sorted(variables):
        if name in known or name.startswith(("_", "ansible_")):
            continue
        near = difflib.get_close_matches(name, known, 1, 0.8)
        if name.split("_")[0] in prefixes:
            hint = f": did you mean {near[0]}?" if near else ""
            yield _problem(
                host, name, f"is read by nothing{hint}", near[0] if near else "remove it"
            )
        elif difflib.get_close_matches(name, known, 1, 0.92):
            yield _problem(host, name, f"is read by nothing: did you mean {near[0]}?", near[0])


def together(problems: Iterable[Problem], hosts: list[str]) -> list[Problem]:
    """One line for what several hosts have in common."""
    lines: dict[tuple[str, str, str], list[str]] = {}
    for problem in problems:
        key = (problem["variable"], problem["problem"], problem["example"])
        lines.setdefault(key, []).append(problem["host"])
    return [
        _problem("all hosts" if len(where) == len(hosts) > 1 else ", ".join(where), *key)
        for key, where in lines.items()
    ]


def preflight_inventory(
    hostvars: Mapping[str, Variables],
    groups: Mapping[str, list[str]],
    roles: str,
    secrets: Mapping[str, str],
    optional_secrets: Mapping[str, str],
    more_groups: list[str],
) -> list[Problem]:
    """Everything that is wrong with the inventory; an empty list when nothing is."""
    hosts = list(groups["all"])
    known, prefixes = known_variables(roles, (*secrets, *optional_secrets))
    problems = [*groups_wrong(groups, more_groups), *addresses_wrong(hostvars, hosts)]
    for host in hosts:
        variables = hostvars[host]
        problems += page_wrong(host, variables)
        problems += secrets_wrong(host, variables, secrets, optional_secrets)
        problems += names_wrong(host, variables, known, prefixes)
    return together(problems, hosts)


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The names that templates use."""
        return {"preflight_inventory": preflight_inventory}
