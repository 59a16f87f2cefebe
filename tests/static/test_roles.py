"""Every role has the same rooms, says what it takes, and can be read in one sitting."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

PARTS = ("preflight", "install", "configure", "verify")
# They install and configure nothing: the preflight of all the others, and what watches a release.
WITHOUT_PARTS = {"preflight", "probe", "release"}
# (which files, how many lines at most)
SIZES = (
    ("roles/*/tasks/**/*.yml", 70),
    ("roles/*/handlers/*.yml", 70),
    ("playbooks/*.yml", 60),
    ("**/group_vars/**/*.yml", 120),
)
MODULE_LINES = 300


def _load(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) if path.exists() else None


def roles(root: Path) -> list[Path]:
    """The folders of all roles."""
    return sorted(path for path in (root / "roles").iterdir() if (path / "tasks").is_dir())


def missing_rooms(role: Path) -> Iterator[str]:
    """What every role has and this one lacks, and work in main.yml, which only leads to it."""
    parts = () if role.name in WITHOUT_PARTS else PARTS
    for name in ("defaults/main", "meta/argument_specs", *(f"tasks/{part}" for part in parts)):
        if not (role / f"{name}.yml").is_file():
            yield f"{role.name}: no {name}.yml"
    for task in _load(role / "tasks" / "main.yml") or []:
        if "ansible.builtin.import_tasks" not in task:
            yield f"{role.name}: tasks/main.yml does work itself: {task.get('name')}"
    imported = (role / "tasks" / "main.yml").read_text()
    for part in parts:
        if f"{part}.yml" not in imported:
            yield f"{role.name}: tasks/main.yml does not import {part}.yml"


def disagreeing_specs(defaults: dict[str, Any], options: dict[str, Any]) -> Iterator[str]:
    """Where argument_specs and defaults tell different stories."""
    for name in sorted(defaults.keys() - options.keys()):
        yield f"{name} is in defaults and not in argument_specs"
    for name, option in options.items():
        if not str(option.get("description") or "").strip():
            yield f"{name} has no description"
        if option.get("required"):
            if name in defaults or "default" in option:
                yield f"{name} is required and has a default"
        elif name not in defaults:
            # Optional without any default: said nowhere, so absent is a value of its own.
            if "default" in option:
                yield f"{name} has a default in argument_specs only"
        elif option.get("default") != defaults[name] and not _is_template(defaults[name]):
            spec, default = option.get("default"), defaults[name]
            yield f"{name}: {spec!r} in argument_specs, {default!r} in defaults"


def _is_template(value: Any) -> bool:
    """What only a host can compute cannot be a default in argument_specs."""
    return "{{" in str(value)


def foreign_names(role: str, names: set[str]) -> list[str]:
    """Variables that do not carry the role's name."""
    return sorted(name for name in names if not name.startswith((f"{role}_", f"__{role}_")))


def untold(defaults: str) -> list[str]:
    """Variables of a defaults file without a sentence above them, or above their paragraph."""
    found, told = [], False
    for line in defaults.splitlines():
        if not line.strip():
            told = False
        elif line.startswith("#"):
            told = True
        elif (match := re.match(r"(\w+):", line)) and not told:
            found.append(match[1])
    return found


def test_every_role_has_the_same_rooms(root: Path) -> None:
    """Whoever knows one role finds their way in all of them."""
    assert roles(root)
    found = [fault for role in roles(root) for fault in missing_rooms(role)]
    assert not found, "\n".join(found)


def test_a_role_without_a_room_is_found(tmp_path: Path) -> None:
    """Missing files, parts that are not imported and work in main.yml are each told."""
    role = tmp_path / "sample"
    for name in ("defaults/main", *(f"tasks/{part}" for part in PARTS[1:])):
        (role / name).parent.mkdir(parents=True, exist_ok=True)
        (role / f"{name}.yml").write_text("[]\n")
    main = "- {name: Go, ansible.builtin.import_tasks: install.yml}\n- {name: Do, ping: }\n"
    (role / "tasks" / "main.yml").write_text(main)
    found = list(missing_rooms(role))
    assert found[:2] == ["sample: no meta/argument_specs.yml", "sample: no tasks/preflight.yml"]
    assert "sample: tasks/main.yml does work itself: Do" in found
    assert "sample: tasks/main.yml does not import verify.yml" in found


def test_specs_agree_with_defaults(root: Path) -> None:
    """The manual and the check of types are one: names, values, and what has to be given."""
    found = []
    for role in roles(root):
        defaults = _load(role / "defaults" / "main.yml") or {}
        specs = _load(role / "meta" / "argument_specs.yml") or {"argument_specs": {"main": {}}}
        options = specs["argument_specs"]["main"].get("options") or {}
        faults = [*disagreeing_specs(defaults, options)]
        shared = {name for name, option in options.items() if option.get("required")}
        faults += foreign_names(role.name, {*defaults, *options} - shared)
        found += [f"{role.name}: {fault}" for fault in faults]
    assert not found, "\n".join(found)


def test_specs_that_disagree_are_found() -> None:
    """Each way to disagree; a value that is computed on the host is in defaults alone."""
    options: dict[str, Any] = {
        "a_x": {"description": "Told.", "default": 1},
        "a_y": {"description": "Told.", "required": True, "default": 2},
        "a_z": {"description": " "},
        "a_w": {"description": "Told.", "default": 3},
        "a_t": {"description": "Told."},
    }
    defaults = {"a_x": 2, "a_u": 0, "a_t": "{{ facts }}"}
    assert list(disagreeing_specs(defaults, options)) == [
        "a_u is in defaults and not in argument_specs",
        "a_x: 1 in argument_specs, 2 in defaults",
        "a_y is required and has a default",
        "a_z has no description",
        "a_w has a default in argument_specs only",
    ]
    assert foreign_names("a", {"a_x", "__a_y", "ab_x", "x"}) == ["ab_x", "x"]


def test_every_default_is_told(root: Path) -> None:
    """defaults/main.yml is the manual: a sentence stands above each variable."""
    found = [
        f"{role.name}: {name}"
        for role in roles(root)
        for name in untold((role / "defaults" / "main.yml").read_text())
    ]
    assert not found, "\n".join(found)


def test_an_untold_default_is_found() -> None:
    """A sentence over a paragraph counts for all of it, and for nothing after the gap."""
    assert untold("# Told.\na_x: 1\na_y:\n  - 1\n\na_z: 1\n") == ["a_z"]


def too_long(root: Path, files: list[Path]) -> list[str]:
    """Files of Ansible that have more lines than can be read in one sitting."""
    found = []
    for pattern, limit in SIZES:
        for path in sorted(set(root.glob(pattern)) & set(files)):
            lines = len(path.read_text().splitlines())
            if lines > limit:
                found.append(f"{path.relative_to(root)}: {lines} lines, {limit} at most")
    return found


def test_files_of_ansible_are_short(root: Path, files: list[Path]) -> None:
    """Small rooms: task files 70 lines, playbooks 60, group_vars 120."""
    found = too_long(root, files)
    assert not found, "\n".join(found)


def test_programs_beside_the_roles_are_short(root: Path, files: list[Path]) -> None:
    """A plugin is a module like any other: 300 lines."""
    found = [
        f"{path.relative_to(root)}: {lines} lines"
        for path in files
        if path.suffix == ".py" and path.relative_to(root).parts[0] in {"roles", "inventories"}
        if (lines := len(path.read_text().splitlines())) > MODULE_LINES
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("pattern", "limit"), SIZES)
def test_a_long_file_of_ansible_is_found(tmp_path: Path, pattern: str, limit: int) -> None:
    """One line more than the limit is one too many."""
    path = tmp_path / pattern.replace("**/", "x/").replace("*", "y")
    path.parent.mkdir(parents=True)
    path.write_text("#\n" * limit)
    assert too_long(tmp_path, [path]) == []
    path.write_text("#\n" * (limit + 1))
    assert len(too_long(tmp_path, [path])) == 1
