"""One role alone, for those in a hurry: it needs nothing that the others would have said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.fleet.machines.tested import TestedFleet

_TAGS = sorted(set(re.findall(r"tags: (\w+)\}", Path("playbooks/site.yml").read_text())))
# All roles say before what cannot work; from here on each is by itself.
_FIRST = "PLAY [Make every host safe"
# A task of a role; arguments are judged in any case.
_ASKED = re.compile(r"^TASK \[(\w+) : (?!Validating arguments)", re.MULTILINE)
# Others take parts of these.
_SHARED = {"base", "pki"}


def test_every_role_of_the_site_has_its_tag() -> None:
    """Which is its name."""
    page = Path("playbooks/site.yml").read_text()
    roles = set(re.findall(r"role: (\w+),", page)) - {"preflight"}
    assert roles <= set(_TAGS)
    assert "always" in page


@pytest.mark.parametrize("tag", [tag for tag in _TAGS if tag != "always"])
def test_a_role_alone_changes_nothing_and_asks_no_other(fleet: TestedFleet, tag: str) -> None:
    """It runs to its end on a host where all is well."""
    play = fleet.play("site.yml", "--tags", tag)
    assert play.rc == 0, play.stdout[-4000:]
    assert play.changes == []
    asked = set(_ASKED.findall(play.stdout.split(_FIRST)[1]))
    assert tag in asked
    assert asked <= _SHARED | {tag}
