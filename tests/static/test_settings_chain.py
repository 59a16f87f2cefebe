"""One name end to end: a field, its variable, its line in the example file, its use."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from gtsd import settings

# Fixed by OpenTelemetry.
FIXED_NAMES = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "otel_endpoint",
    "OTEL_TRACES_SAMPLER_ARG": "otel_sample_ratio",
    "OTEL_SDK_DISABLED": "otel_disabled",
}
_ASSIGNMENT = re.compile(r"^#?\s?([A-Z][A-Z0-9_]+)=", re.MULTILINE)


def assigned(example: str) -> list[str]:
    """The variables of an environment file; those that are commented out count as well."""
    return _ASSIGNMENT.findall(example)


def attributes(text: str) -> set[str]:
    """Every name that is read as an attribute."""
    return {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}


@pytest.fixture(scope="module")
def example(root: Path) -> str:
    """The environment file that operators start from."""
    return (root / "systemd" / "gtsd.env.example").read_text()


def test_the_example_file_has_every_setting_once(example: str) -> None:
    """An operator finds each setting, and nothing that the service does not read."""
    names = [setting.env.name for setting in settings.TABLE]
    assert sorted(assigned(example)) == sorted(names)


def test_the_example_file_explains_every_setting(example: str) -> None:
    """The meaning in the example is the meaning in the code."""
    unwrapped = re.sub(r"\n#\s*", " ", example)
    missing = [s.env.name for s in settings.TABLE if s.env.meaning not in unwrapped]
    assert missing == []


def test_every_setting_is_read_somewhere(modules: dict[Path, str]) -> None:
    """A setting that nothing reads is a promise that nothing keeps."""
    used = set().union(*(attributes(t) for t in modules.values()))
    unread = [s.field for s in settings.TABLE if s.field not in used]
    assert not unread, "\n".join(unread)


def test_names_of_a_setting_agree() -> None:
    """Where the name is ours to choose, the variable is the field in capitals, perhaps prefixed."""
    different = {
        s.env.name: s.field
        for s in settings.TABLE
        if s.env.name.removeprefix("GTSD_").lower() != s.field
    }
    assert different == FIXED_NAMES


def test_broken_links_of_the_chain_are_found() -> None:
    """A variable hidden in prose does not count, a commented one does; stores are not reads."""
    assert assigned("AA=1\n#B_C=2\n# DD=3\n# see EE=4 above\n") == ["AA", "B_C", "DD"]
    assert attributes("x = settings.port\nname = 'host'") == {"port"}
