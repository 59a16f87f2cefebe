"""What ``gtsd deploys`` refuses before it asks the database: exit code 2, and why."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest

from gtsd.__main__ import run
from gtsd.deploys import options
from gtsd.deploys.errors import BadUsage
from requirements import release_names

NOBODY = {"DATABASE_URL": "postgresql://ann:word@127.0.0.1:1/x"}
HOLD = ("acquire", "--holder", "anna@laptop release 1.4.0", "--purpose", "release")
RECORD = ("record", "--token", "7", "--version", "1.4.0", "--event")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((*HOLD, "--ttl", "0"), "--ttl: must be 1 to 3600 seconds like 60, not '0'"),
        ((*HOLD, "--ttl", "nan"), "--ttl: must be 1 to 3600 seconds like 60, not 'nan'"),
        ((*HOLD, "--wait", "-1"), "--wait: must be 0 to 3600 seconds like 60, not '-1'"),
        ((*HOLD, "--wait", "soon"), "--wait: must be 0 to 3600 seconds like 60, not 'soon'"),
        ((*HOLD, "--holder", ""), "'anna@laptop release 1.4.0', not ''"),
        ((*HOLD, "--holder", "a\nb"), r"'anna@laptop release 1.4.0', not 'a\nb'"),
        ((*HOLD, "--purpose", "Re-lease"), "must be a small word like release, not 'Re-lease'"),
        (("renew", "--token", "0"), "must be a whole number like 7, as acquire told it, not '0'"),
        (("release", "--token", "x"), "--token: must be a whole number like 7"),
        ((*RECORD, "exploded"), "--event: invalid choice: 'exploded'"),
        ((*RECORD, "failed", "--version", "v1.4"), "must be like 1.4.0 or 1.4.0rc1, not 'v1.4'"),
        ((*RECORD, "failed", "--previous", "../1"), "--previous: must be like 1.4.0 or 1.4.0rc1"),
        (("ledger", "--limit", "0"), "--limit: must be a whole number like 20, not '0'"),
        (
            ("target", "--current", "1.4.0", "--available", "1.3.0,latest"),
            "--available: must be like 1.4.0 or 1.4.0rc1, not 'latest'",
        ),
        (("acquire",), "the following arguments are required: --holder, --purpose"),
    ],
)
def test_an_option_that_cannot_be_is_named_with_an_example(
    words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By argparse, before anything is done."""
    with pytest.raises(SystemExit) as caught:
        run(["deploys", *words], NOBODY, sys.stdout, sys.stderr)
    assert caught.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[1]", "that is no object, but a list"),
        ("{", "that is no JSON: "),
        ('{"a": NaN}', "that is no JSON: NaN is no number"),
        ('{"a": 1e999}', "that is no JSON: "),
        ('{"a": "\xff"}', "that is no JSON: "),
        ("[" * 60_000, "that is no JSON: "),
        (json.dumps({"a": "x" * 70_000}), "70,009 bytes are too many, 65,536 are allowed"),
    ],
)
def test_details_that_are_no_small_json_object_are_refused(
    tmp_path: Path, text: str, problem: str
) -> None:
    """The sentence names the option and ends with an example."""
    file = tmp_path / "details.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadUsage) as caught:
        options.details(str(file))
    assert str(caught.value).startswith(f"--details-from: {problem}")
    assert str(caught.value).endswith('Example: {"host": "app1"}. Nothing was done')


def test_details_come_from_a_file_from_standard_input_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is not there is said to be so."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"host": "app1"}')))
    assert options.details("-") == {"host": "app1"}
    assert options.details(None) == {}
    with pytest.raises(BadUsage, match="cannot be read: No such file or directory"):
        options.details(str(tmp_path / "none"))


@pytest.mark.parametrize("host", ["{}", '{"host": 1}'])
def test_a_switch_without_its_host_is_refused(tmp_path: Path, host: str) -> None:
    """A record that does not tell what was switched is of no use later."""
    file = tmp_path / "details.json"
    file.write_text(host)
    errors = io.StringIO()
    words = ["deploys", *RECORD, "switched", "--details-from", str(file)]
    assert run(words, NOBODY, io.StringIO(), errors) == 2
    assert errors.getvalue().startswith("switched: the details must name the host: ")


def test_a_database_that_does_not_answer_is_exit_code_1_also_in_json() -> None:
    """The message is on standard error, and with --json on standard output as well."""
    out, errors = io.StringIO(), io.StringIO()
    assert run(["deploys", "lease", "--json"], NOBODY, out, errors) == 1
    assert errors.getvalue().startswith("cannot connect to the database: ")
    assert json.loads(out.getvalue()) == {"error": errors.getvalue().strip()}
    assert "word" not in errors.getvalue()


def test_only_the_settings_of_the_owner_are_needed() -> None:
    """As for migrations: without the address of the database it says so."""
    errors = io.StringIO()
    assert run(["deploys", "lease"], {}, io.StringIO(), errors) == 2
    assert "DATABASE_URL  is missing" in errors.getvalue()
    assert "JWT_SECRET" not in errors.getvalue()


def test_versions_are_those_that_a_release_can_have() -> None:
    """The builder of releases and this command agree on what a version is."""
    assert options.VERSION.pattern == release_names.VERSION.pattern


def test_help_tells_commands_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """Each command has what its operators need at hand."""
    with pytest.raises(SystemExit):
        run(["deploys", "--help"], {}, sys.stdout, sys.stderr)
    text = capsys.readouterr().out
    for command in ("acquire", "renew", "release", "record", "target", "contract-check"):
        assert re.search(rf"^ +{command}\s", text, re.MULTILINE)
    assert "3  refused: somebody else holds the lease, or the token is stale" in text
