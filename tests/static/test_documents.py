"""What people read first agrees with what is there."""

from __future__ import annotations

import re
from pathlib import Path

_TARGET = re.compile(r"^([a-z][a-z0-9-]*):(?!=)(.*)$", re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
_STEP = re.compile(r"(?:run:|^step) make ([a-z-]+)", re.MULTILINE)
_COMMAND = re.compile(r"\bmake ([a-z][a-z-]*)")


def targets(makefile: str) -> dict[str, bool]:
    """The targets that people call, and whether each has its ``## meaning``."""
    return {name: "## " in rest for name, rest in _TARGET.findall(makefile)}


def undocumented(makefile: str) -> list[str]:
    """Targets that ``make help`` would not list."""
    return [name for name, documented in targets(makefile).items() if not documented]


def commands(markdown: str) -> set[str]:
    """The make targets that a page tells people to call, in code: prose may make sure."""
    code = re.findall(r"```.*?```|`[^`\n]+`", markdown, re.DOTALL)
    return {target for part in code for target in _COMMAND.findall(part)}


def dead_links(folder: Path, markdown: str) -> list[str]:
    """Links to files that do not exist."""
    return [link for link in _LINK.findall(markdown) if not (folder / link).exists()]


def first_section(changelog: str) -> str:
    """The newest version of a changelog, from its heading to the next."""
    return changelog.split("\n## ")[1] if "\n## " in changelog else ""


def changelog_faults(changelog: str) -> list[str]:
    """What the newest entry lacks: a version, and first of all what the operator must do."""
    entry = first_section(changelog)
    faults = [] if re.match(r"\d+\.\d+\.\d+ |Unreleased", entry) else ["version"]
    headings = re.findall(r"^### (.+)$", entry, re.MULTILINE)
    return faults if headings[:1] == ["Operator action"] else [*faults, "operator action first"]


def test_every_make_target_is_documented(root: Path) -> None:
    """``make help`` is the list of what can be done here."""
    makefile = (root / "Makefile").read_text()
    assert {"run", "test", "lint", "lock", "help"} <= targets(makefile).keys()
    assert undocumented(makefile) == []


def test_documents_name_only_targets_and_files_that_exist(root: Path, files: list[Path]) -> None:
    """A command or a link that fails costs the reader's trust in all the others."""
    known = targets((root / "Makefile").read_text()).keys()
    faults = []
    for page in (path for path in files if path.suffix == ".md"):
        text, name = page.read_text(), page.relative_to(root)
        faults += [f"{name}: no target {target}" for target in commands(text) - known]
        faults += [f"{name}: no file {link}" for link in dead_links(page.parent, text)]
    assert not faults, "\n".join(faults)


def test_ci_calls_only_targets_that_exist(root: Path) -> None:
    """Each job of CI is one make target, so that it fails on a desk as well."""
    known = targets((root / "Makefile").read_text()).keys()
    scripts = [root / ".ci" / "run", *(root / ".github" / "workflows").glob("*.yml")]
    called = {name for path in scripts for name in _STEP.findall(path.read_text())}
    assert {"lint", "test"} <= called
    assert called - known == set()


def test_the_changelog_tells_the_operator_first(root: Path) -> None:
    """Who upgrades reads one section before all others."""
    assert changelog_faults((root / "CHANGELOG.md").read_text()) == []


def test_faulty_documents_are_found(tmp_path: Path) -> None:
    """An undocumented target, a dead link, prose and a changelog without its first section."""
    assert undocumented("run: deps ## Serve.\nbuild:\n\ttrue\nX := 1\n.PHONY: run\n") == ["build"]
    assert commands("make sure\n`make run`\n```\nmake test\n```\n") == {"run", "test"}
    assert dead_links(tmp_path, "[a](gone.md) [b](https://example.org) [c](#here)") == ["gone.md"]
    assert changelog_faults("# C\n\n## 1.2.0 (x)\n\n### Operator action\n\nNone.\n") == []
    assert changelog_faults("# C\n\n## Soon\n\n### Added\n") == ["version", "operator action first"]
