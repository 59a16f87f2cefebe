"""What is wrong with arguments and files is said with the name, the problem and an example."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from probe.__main__ import accounts_for, main, without_option
from probe.errors import ProbeError
from probe.people import read_people
from probe.story import read_events
from probe.wire import target


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--rate=0", "argument --rate: '0' must be a number from 0.1 to 1000, such as 20"),
        ("--rate=much", "argument --rate: 'much' must be a number"),
        ("--writes=40", "argument --writes: '40' must be a number from 0 to 1, such as 0.4"),
        ("--accounts=-1", "argument --accounts: '-1' must be a whole number of 1 or more"),
        ("--seconds=nan", "argument --seconds: 'nan' must be a number"),
    ],
)
def test_a_bad_option_is_named(
    option: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By argparse, with its exit status."""
    with pytest.raises(SystemExit) as ended:
        main(["run", f"--folder={tmp_path}", "--url=https://api.example.org", option])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "url", ["api.example.org", "ftp://x", "https://", "https://x:y", "https://x/v1", ""]
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    """The path is not ours to choose."""
    with pytest.raises(ProbeError, match="--url .*: must be the API's scheme and name, such as"):
        target(url, (), None)


def test_a_url_has_its_usual_port_and_name() -> None:
    """The Host header leaves out what goes without saying."""
    assert target("https://api.example.org", (), None).authority == "api.example.org"
    assert target("https://api.example.org:8443/", (), None).authority == "api.example.org:8443"
    assert target("http://[::1]:80", (), None).authority == "[::1]"


@pytest.mark.parametrize("text", ["", "{}", "[]", '[{"email": "a"}]', "[1]"])
def test_a_file_without_accounts_is_refused(text: str, tmp_path: Path) -> None:
    """With what it should look like."""
    (tmp_path / "people").write_text(text)
    with pytest.raises(ProbeError, match='--accounts-file .*"email": "ada@example.com"'):
        read_people(tmp_path / "people")


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([], "version is missing"),
        ({"title": "x"}, "version is missing"),
        ({"version": "1", "verdict": "fine"}, "verdict is 'fine'; it is one of released, "),
        ({"version": "1", "marks": [{"host": "a", "what": "b"}]}, "KeyError: 'at'"),
        ({"version": "1", "marks": {"at": 1}}, "marks is no list"),
        ({"version": "1", "diffs": ["x"]}, "diffs title and text (or before and after)"),
        ({"version": "1", "started": "noon"}, "seconds since 1970"),
    ],
)
def test_events_that_cannot_be_used_are_refused(events: Any, words: str, tmp_path: Path) -> None:
    """The field is named."""
    (tmp_path / "events").write_text(json.dumps(events))
    with pytest.raises(ProbeError, match="--events") as refused:
        read_events(tmp_path / "events")
    assert words in str(refused.value)


def test_a_difference_may_come_as_two_texts(tmp_path: Path) -> None:
    """Ansible tells what was before and after; the page shows what is different."""
    diff = {"title": "Settings", "before": "A=1\nB=2\n", "after": "A=1\nB=3\n"}
    (tmp_path / "events").write_text(json.dumps({"version": "1", "diffs": [diff]}))
    ((title, text),) = read_events(tmp_path / "events").diffs
    assert title == "Settings"
    assert text.splitlines() == [
        *("--- before", "+++ after", "@@ -1,2 +1,2 @@", " A=1", "-B=2", "+B=3")
    ]


def test_accounts_are_enough_for_the_limits_of_one_person() -> None:
    """200 requests a minute are allowed; three quarters of that are used."""
    for rate in (1.0, 20.0, 100.0):
        assert rate * 60 / accounts_for(rate) <= 150
    assert accounts_for(20.0) == 8


def test_start_keeps_what_is_for_it_alone() -> None:
    """In either way to write it."""
    given = ["--url=x", "--patience", "9", "--rate=2", "--patience=9"]
    assert without_option(given, "--patience") == ["--url=x", "--rate=2"]
