"""What the runbook says to type in a hurry was typed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from testinfra.backend.base import CommandResult

from tests.fleet.machines.tested import TestedFleet

SECTIONS = (
    "Find what happened to a request",
    "Something is slow",
    "Connection errors",
    "Memory grows",
)
# What stands for something that the reader has, and what it is here.
STANDS_FOR = {"THE-ID": "no-such-request"}
_COMMAND = re.compile(r"`((?:sudo|systemctl|systemd-cgtop)\s[^`]+)`")
# They change what runs, and are tried elsewhere.
_NOT_HERE = ("sudo systemctl restart",)


def commands(page: str, sections: tuple[str, ...] = SECTIONS) -> Iterator[str]:
    """All that these sections have to be typed on a host, one line each."""
    parts = dict(part.partition("\n")[::2] for part in page.split("\n## "))
    for section in sections:
        for command in _COMMAND.findall(parts[section]):
            yield re.sub(r"\s+", " ", command)


def faults(done: CommandResult, command: str) -> str:
    """Why a command does not do what the page says; a search may find nothing."""
    fine = {0, 1} if "grep" in command else {0}
    return "" if done.rc in fine and not done.stderr else f"{command}: {done.rc} {done.stderr}"


@pytest.mark.timeout(300)
def test_the_commands_of_the_troubleshooting_sections_work(fleet: TestedFleet) -> None:
    """As they stand there, on a host that has all groups; all at once, since some watch a while."""
    host = fleet.host(fleet.names()[0])
    page = Path("RUNBOOK.md").read_text()
    given = [command for command in commands(page) if not command.startswith(_NOT_HERE)]
    assert len(given) >= 12

    def run(command: str) -> str:
        typed = command
        for word, meaning in STANDS_FOR.items():
            typed = typed.replace(word, meaning)
        return faults(host.run(f"COLUMNS=200 bash -o pipefail -c '{quoted(typed)}'"), command)

    with ThreadPoolExecutor(4) as pool:
        assert [fault for fault in pool.map(run, given) if fault] == []


def quoted(text: str) -> str:
    """For within single quotes."""
    return text.replace("'", "'\\''")


def test_a_command_that_does_not_work_is_found(fleet: TestedFleet) -> None:
    """A program that is not there, and an option that it does not know."""
    host = fleet.host(fleet.names()[0])
    page = "x\n## Y\nDo `sudo nothing-of-this --name` and\n`systemctl\nshow --nope`.\n"
    given = list(commands(page, ("Y",)))
    assert given == ["sudo nothing-of-this --name", "systemctl show --nope"]
    assert all(faults(host.run(command), command) for command in given)
