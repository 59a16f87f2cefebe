"""What every task of a role or playbook keeps to, so that a play can be read and believed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

WHEN_TERMS = 3
_BLOCKS = ("block", "rescue", "always")
_OF_PLAYS = ("pre_tasks", "tasks", "post_tasks", "handlers")
# What a task has beside its module.
_KEYWORDS = {
    *("name", "when", "loop", "loop_control", "register", "vars", "notify", "listen", "tags"),
    *("become", "become_user", "delegate_to", "delegate_facts", "run_once", "no_log", "diff"),
    *("changed_when", "failed_when", "until", "retries", "delay", "check_mode", "environment"),
    *("throttle", "ignore_unreachable", "any_errors_fatal", "args", "timeout", "async", "poll"),
    *("connection", "ignore_errors", "module_defaults", "with_items", "action", *_BLOCKS),
}
# They only lead to other tasks, which keep the rule themselves.
_LEAD = re.compile(r"ansible\.builtin\.(import|include)_(tasks|role|playbook)")
_JUDGES = {"ansible.builtin.assert", "ansible.builtin.fail"}
_SHELLS = {"shell", "raw", "script", "expect"}


def flat(tasks: list[dict[str, Any]] | None) -> Iterator[dict[str, Any]]:
    """All tasks of a list, those in blocks too."""
    for task in tasks or []:
        yield task
        for part in _BLOCKS:
            yield from flat(task.get(part))


def tasks_of(path: Path) -> list[dict[str, Any]]:
    """All tasks of a file of a role, or of a playbook."""
    content = yaml.safe_load(path.read_text()) or []
    if "playbooks" not in path.parts or "tasks" in path.parts:
        return list(flat(content))
    return [task for play in content for part in _OF_PLAYS for task in flat(play.get(part))]


def terms(condition: Any) -> int:
    """How many things a condition asks."""
    lines = condition if isinstance(condition, list) else [condition]
    return sum(len(re.findall(r"\b(?:and|or)\b", str(line))) + 1 for line in lines)


def modules(task: dict[str, Any]) -> set[str]:
    """What the task calls."""
    return set(task) - _KEYWORDS


def faults(task: dict[str, Any]) -> Iterator[str]:
    """What is wrong with one task, by itself."""
    name = str(task.get("name") or "")
    if not name:
        yield f"a task without a name: {sorted(modules(task))}"
        return
    if not re.match(r"[A-Z{]", name.partition(" | ")[2] or name):
        yield f"{name}: does not begin like a sentence"
    for module in modules(task):
        if "." not in module and not (module.startswith("preflight_") or _own(module)):
            yield f"{name}: {module} is not its full name"
        if module.rpartition(".")[2] in _SHELLS:
            yield f"{name}: {module} is a shell"
        if module.rpartition(".")[2] == "command" and "changed_when" not in task:
            yield f"{name}: a command does not say when it changes something"
    if task.get("ignore_errors"):
        yield f"{name}: ignores errors"
    if task.get("failed_when") is False or str(task.get("failed_when")).lower() == "false":
        yield f"{name}: cannot fail"
    if "when" in task and terms(task["when"]) > WHEN_TERMS:
        yield f"{name}: has a condition of {terms(task['when'])} terms"


_OWN = {
    path.stem
    for folder in ("library", "action_plugins")
    for path in Path(__file__).parents[2].glob(f"roles/*/{folder}/*.py")
}


def _own(module: str) -> bool:
    """A module of one of our roles has no longer name."""
    return module in _OWN


def secret_names(root: Path) -> list[str]:
    """Every variable that holds a secret."""
    lists = yaml.safe_load((root / "playbooks/group_vars/all/secrets.yml").read_text())
    return [*lists["gtsd_secrets"], *lists["gtsd_optional_secrets"]]


def openly(task: dict[str, Any], secrets: list[str]) -> list[str]:
    """Secrets that a task uses without `no_log`."""
    inner = {key: value for key, value in task.items() if key not in {*_BLOCKS, "name"}}
    if task.get("no_log") or any(_LEAD.fullmatch(module) for module in modules(task)):
        return []
    text = str(inner)
    if modules(task) & _JUDGES:
        # They print their message and the text of a condition, never its values.
        text = " ".join(re.findall(r"\{\{.*?\}\}", text))
    used = set(re.findall(r"\w+", text))
    return sorted(used & set(secrets))


def _files(root: Path, files: list[Path]) -> list[Path]:
    patterns = ("roles/*/tasks/**/*.yml", "roles/*/handlers/*.yml", "playbooks/*.yml")
    return sorted({path for pattern in patterns for path in root.glob(pattern)} & set(files))


def test_every_task_keeps_the_rules_of_the_house(root: Path, files: list[Path]) -> None:
    """Named, by full module names, without a shell, and able to fail."""
    paths = _files(root, files)
    assert paths
    found = [
        f"{path.relative_to(root)}: {fault}"
        for path in paths
        for task in tasks_of(path)
        for fault in faults(task)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("task", "fault"),
    [
        ("{ansible.builtin.ping: }", "a task without a name: ['ansible.builtin.ping']"),
        ("{name: do it, ansible.builtin.ping: }", "do it: does not begin like a sentence"),
        ("{name: Do, ping: }", "Do: ping is not its full name"),
        ("{name: Do, ansible.builtin.shell: ls}", "Do: ansible.builtin.shell is a shell"),
        (
            "{name: Do, ansible.builtin.command: ls}",
            "Do: a command does not say when it changes something",
        ),
        ("{name: Do, ansible.builtin.ping: , ignore_errors: true}", "Do: ignores errors"),
        ("{name: Do, ansible.builtin.ping: , failed_when: false}", "Do: cannot fail"),
        (
            "{name: Do, ansible.builtin.ping: , when: [a and b, c or d]}",
            "Do: has a condition of 4 terms",
        ),
    ],
)
def test_a_careless_task_is_found(tmp_path: Path, task: str, fault: str) -> None:
    """Each rule by itself, also inside the rescue of a block."""
    path = tmp_path / "sample.yml"
    block = "- {name: Try, block: [{name: Go, ansible.builtin.ping: }], rescue: ["
    path.write_text(f"{block}{task}]}}\n")
    assert [fault for found in tasks_of(path) for fault in faults(found)] == [fault]


def test_secrets_are_used_only_where_nothing_is_logged(root: Path, files: list[Path]) -> None:
    """With -vvv Ansible prints what a task was given, unless the task says no_log."""
    secrets = secret_names(root)
    found = [
        f"{path.relative_to(root)}: {task.get('name')}: {', '.join(open_)}"
        for path in _files(root, files)
        for task in tasks_of(path)
        if (open_ := openly(task, secrets))
    ]
    assert not found, "\n".join(found)


def test_a_secret_in_the_open_is_found() -> None:
    """In arguments, loops and conditions; not in what only leads on, nor under another name."""
    secrets = ["a_password"]
    shown = {"name": "Do", "ansible.builtin.debug": {"msg": "{{ a_password | length }}"}}
    assert openly(shown, secrets) == ["a_password"]
    assert openly({**shown, "no_log": True}, secrets) == []
    assert openly({"name": "a_password", "loop": "{{ my_a_password }}"}, secrets) == []
    assert openly({"name": "Go", "when": "a_password is defined"}, secrets) == ["a_password"]
    assert openly({"ansible.builtin.import_tasks": "a_password.yml"}, secrets) == []
    judged = {"that": "a_password | length > 9", "fail_msg": "a_password is short"}
    assert openly({"ansible.builtin.assert": judged}, secrets) == []
    told = {**judged, "fail_msg": "{{ a_password }} is short"}
    assert openly({"ansible.builtin.assert": told}, secrets) == ["a_password"]
