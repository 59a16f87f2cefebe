"""What the types of fields take: the same in Python and by the document's dialect."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest

from gtsd.accounts.types import SignUp
from gtsd.app import table
from gtsd.errors import BadRequest
from gtsd.tasks.types import NewEvidence, NewTask, TaskChange
from gtsd.web.bodies import decode_body

PERSON = {"email": "ada@example.com", "password": "Correct-horse-7", "name": "Ada"}


def _patterns() -> dict[str, str]:
    """Every pattern that a client's text is held against, by itself."""
    shapes = [shape for route in table().routes for shape in (route.body, route.query) if shape]
    _, components = msgspec.json.schema_components(shapes)
    return {
        found: found
        for found in re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', json.dumps(components))
    }


@pytest.mark.parametrize("quoted", _patterns())
def test_a_pattern_means_the_same_in_every_language(quoted: str) -> None:
    r"""Python's ``$`` takes a final newline along, and its ``\d`` the digits of all scripts."""
    pattern: str = json.loads(quoted)
    assert not re.search(r"\\[dwb]", pattern)
    if not pattern.startswith(r"^[\s\S]*\S"):
        assert pattern.endswith(r"(?!\n)$")


def test_the_patterns_are_found() -> None:
    """The control."""
    assert len(_patterns()) >= 7


def _is_taken(shape: type[Any], body: dict[str, Any]) -> bool:
    try:
        decode_body(json.dumps(body).encode(), shape, 32)
    except BadRequest as refusal:
        assert refusal.code == "invalid_fields"
        return False
    return True


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        (
            "email",
            ["a+b@example.com", "o'hara@x.co", "é@münchen.de", f"{'a' * 64}@{'b' * 185}.com"],
            [
                "a@b.co\n",
                "a@b.co\r\nBcc: c@d.co",
                "a,b@c.co",
                "<a>@b.co",
                "a;b@c.co",
                '"a"@b.co',
                "a@b",
                "a@b..co",
                "a@b.co.",
                "a@@b.co",
                " a@b.co",
                "a@b.co\x85",
                "a@b.co\ufeff",
                "",
                f"{'a' * 64}@{'b' * 186}.com",
                f"{'a' * 65}@b.co",
            ],
        ),
        (
            "password",
            ["Aa1!" + "🙂" * 124, "Aa1 aaaa"],
            ["Aa1!" + "🙂" * 125, "Aa1!" + "a" * 124 + "\n", "Aa1!aaa", "Aa٣!aaaa", "        "],
        ),
        (
            "name",
            ["🙂" * 255, "x", "é"],
            ["", " ", "\u3000\u00a0", "\ufeff", "Ada\n", "A\x85", "🙂" * 256],
        ),
        ("phone", ["+4930123456", None], ["+4930123456\n", "+49٣0123456", "+0930123456", ""]),
        (
            "timezone",
            ["UTC", "Etc/GMT+12", "Asia/Kathmandu", "US/Pacific"],
            [
                "localtime",
                "Factory",
                "posixrules",
                "posix/UTC",
                "UTC\n",
                "utc",
                "../UTC",
                "Europe",
                "",
            ],
        ),
    ],
)
def test_a_new_account_takes_only_what_fits(field: str, good: list[Any], bad: list[Any]) -> None:
    """At the limits, and for what would reach the database, a mail's header or another host."""
    assert [value for value in good if not _is_taken(SignUp, {**PERSON, field: value})] == []
    assert [value for value in bad if _is_taken(SignUp, {**PERSON, field: value})] == []


def test_a_time_of_day_has_ascii_digits_and_no_newline() -> None:
    """The database takes the one and breaks on the other."""
    taken = ["00:00", "23:59", "06:15\n", "0٣:00", "24:00", "6:15"]
    assert [t for t in taken if _is_taken(NewTask, {"title": "x", "dueTime": t})] == taken[:2]


def test_evidence_links_to_web_pages_only() -> None:
    """No script, no file, no user name, no second line (fault 6)."""
    links = [
        "http://x",
        "https://[::1]:1/a?b#c",
        "http://x\n",
        "javascript:a()",
        "http://u@x",
        "//x",
    ]
    body: dict[str, Any] = {"taskId": 1, "type": "photo_reference"}
    taken = [url for url in links if _is_taken(NewEvidence, {**body, "data": {"photoUrl": url}})]
    assert taken == links[:2]


@pytest.mark.parametrize("shape", [NewTask, TaskChange])
def test_metadata_are_bounded_as_they_will_be_shown(shape: type[Any]) -> None:
    """The database writes numbers out: a hundred tasks of 96 kB made an answer of 500 MB."""

    def taken(value: Any) -> bool:
        return _is_taken(shape, {"title": "x", "metadata": {"a": value}})

    assert taken("x" * 16_000)
    assert not taken("x" * 16_384)
    assert taken([1e10] * 1_000)
    assert not taken([1e308] * 100)
    assert not taken([5e-324] * 100)
    assert not taken([{"b": [10**100]}] * 200)
