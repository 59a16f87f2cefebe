"""The configuration for Grafana Alloy sorts lines as role logs does with syslog-ng.

Alloy itself is in no package that the tests can have: what it would refuse is not found here.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

# One string of either kind, of which the first knows escapes.
_STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"|`([^`]*)`')


@pytest.fixture
def page(root: Path) -> str:
    """Without its comments."""
    text = (root / "roles/logs/files/gtsd.alloy").read_text()
    return re.sub(r"^\s*//.*\n", "", text, flags=re.MULTILINE)


def strings(page: str) -> list[str]:
    """What the strings say."""
    return [raw or re.sub(r"\\(.)", r"\1", given) for given, raw in _STRING.findall(page)]


def faults(page: str) -> list[str]:
    """Brackets that do not close, and components that are named and not there."""
    found = []
    bare = _STRING.sub("", page)
    for opening, closing in ("{}", "()", "[]"):
        if bare.count(opening) != bare.count(closing):
            found.append(f"{opening}{closing}")
    there = {
        f"{kind}.{name}" for kind, name in re.findall(r'^([\w.]+) "(\w+)" \{', page, re.MULTILINE)
    }
    named = re.findall(r"\b((?:loki|local)\.\w+\.\w+)\.(?:receiver|rules|targets)\b", bare)
    return found + sorted(set(named) - there)


def test_what_is_named_is_there(page: str) -> None:
    """The control: a bracket too few, and a receiver under another name."""
    assert faults(page) == []
    assert faults(page.replace('loki.write "gtsd"', 'loki.write "ours"')) == ["loki.write.gtsd"]
    assert faults(page.rstrip().rstrip("}")) == ["{}"]


def test_units_are_those_of_role_logs(root: Path, page: str) -> None:
    """In their order, since the first that fits counts."""
    names = yaml.safe_load((root / "roles/logs/vars/main.yml").read_text())["__logs_labels"]
    ending = r"(?:[@-].*)?\.(?:service|socket|timer|scope)"
    assert f"({'|'.join(names)}){ending}" in strings(page)
    sent = (root / "roles/logs/templates/etc/gtsd/logs/syslog-ng.conf.j2").read_text()
    assert ending in sent


def test_levels_are_read_as_role_logs_reads_them(root: Path, page: str) -> None:
    """The same expressions, for which RE2 wants a brace escaped and a group named."""
    sent = (root / "roles/logs/templates/etc/gtsd/logs/syslog-ng.conf.j2").read_text()
    wanted = re.findall(r"""match\('(\^\{"level".+?)' value""", sent)
    wanted += re.findall(r"'(\^\(\?:\\\[.+?\? )'", sent) + re.findall(r"""'("status":5)'""", sent)
    assert len(wanted) == 5
    ours = [
        text.partition("|~ `")[2].rstrip("`") or text
        for text in strings(page)
        if "level" in text or "status" in text or "word" in text
    ]
    plain = {text.replace(r"\{", "{").replace("?P<word>", "") for text in ours}
    assert [text for text in wanted if text not in plain] == []


def test_labels_are_four(page: str) -> None:
    """Two that all lines have, and two that are kept of each."""
    assert re.findall(r"external_labels = (.+)", page) == [
        '{job = "gtsd", host = constants.hostname}'
    ]
    kept = re.findall(r"stage\.label_keep \{\s+values = (.+)", page)
    assert kept == ['["unit", "level"]'] * page.count("loki.process ")
