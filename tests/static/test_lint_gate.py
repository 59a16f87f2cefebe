"""`make lint` runs every tool, shows every failure and fails if one did."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

TOOLS = [
    *("ruff", "lint-imports", "yamllint", "squawk", "shellcheck", "check-jsonschema", "zizmor"),
    *("python", "ansible-lint"),
]
# The controls call the tools above.
CHECKS = 11


def _gate(root: Path, folder: Path, *, failing: set[str]) -> subprocess.CompletedProcess[str]:
    """Run the gate with tools that only say their name and succeed or fail."""
    for tool in TOOLS:
        script = folder / tool
        script.write_text(f"#!/bin/sh\necho spoken by {tool}\nexit {int(tool in failing)}\n")
        script.chmod(0o755)
    return subprocess.run(
        ["bash", str(root / ".ci" / "lint")],
        env={**os.environ, **dict.fromkeys(("LINT_BIN", "TEST_BIN", "ANSIBLE_BIN"), str(folder))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_failure_is_shown_at_once(root: Path, tmp_path: Path) -> None:
    """One run tells all that is wrong; the tools that passed stay silent."""
    result = _gate(root, tmp_path, failing={"ruff", "zizmor", "python"})
    assert result.returncode == 1
    for tool in ("ruff", "zizmor", "python"):
        assert f"      spoken by {tool}\n" in result.stdout
    assert "      spoken by yamllint\n" not in result.stdout
    assert (
        f"of {CHECKS} failed: ruff-check ruff-format mypy migrations zizmor controls"
        in result.stdout
    )


def test_tools_that_cannot_fail_are_refused(root: Path, tmp_path: Path) -> None:
    """With tools that accept everything, the controls alone make the gate fail."""
    result = _gate(root, tmp_path, failing=set())
    assert result.returncode == 1
    assert f"1 of {CHECKS} failed: controls" in result.stdout
    for fault in ("F401", "no-untyped-def", "key-duplicates", "SC2086", "fqcn", "unpinned-uses"):
        assert f"accepted its bad sample ({fault})" in result.stdout
