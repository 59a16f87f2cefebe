"""Each fault of the earlier implementation is named by a test that would see it come back."""

from __future__ import annotations

import ast
import re
from pathlib import Path

FAULTS = {
    1: "a header that logs in as any user",
    2: "no throttling of logins, and a duration that tells which accounts there are",
    3: "refresh tokens in clear, no reuse detected, parallel refreshes that all win",
    4: "tokens, emails and bodies in logs",
    5: "raw errors of the database in answers",
    6: "uploads of any size and type, and evidence with any kind of URL",
    7: "public metrics with unbounded labels",
    8: "without Redis every request fails, health included",
    9: "without PostgreSQL health says that all is well",
    10: "an old day raises today's streak, a gap keeps it, parallel evidence raises it twice",
    11: "the first parallel reads of a new user fail",
    12: "parallel sign-ups fail",
    13: "the server's time zone decides the day",
    14: "onboarding accepts what plans refuse, and protein has two formulas",
    15: "nothing creates the daily tasks",
    16: "scheduled jobs run once for every replica, or never",
    17: "bodies over the limit are an internal error",
    18: "errors have four shapes",
    19: "any origin may call with credentials",
    20: "the documented environment does not boot",
}
_NAMED = re.compile(r"\bfaults? ((?:\d+(?:, | and )?)+)", re.IGNORECASE)


def named(text: str) -> set[int]:
    """The faults that the docstrings of a module's tests name."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[:5] == "test_":
            for numbers in _NAMED.findall(ast.get_docstring(node) or ""):
                found |= {int(number) for number in re.findall(r"\d+", numbers)}
    return found


def test_every_fault_has_its_test(tests: dict[Path, str]) -> None:
    """And none is named that is not in the list."""
    found = {number for text in tests.values() for number in named(text)}
    assert found <= FAULTS.keys()
    missing = {number: FAULTS[number] for number in FAULTS.keys() - found}
    assert missing == {}


def test_a_name_counts_only_where_a_test_says_it() -> None:
    """Comments and helpers promise nothing."""
    assert named('def test_x():\n    """As it was (faults 5, 17 and 18)."""') == {5, 17, 18}
    assert named('async def test_x():\n    """Fault 10: it rose."""') == {10}
    assert named('def helper():\n    """Fault 1."""\n# fault 2\n"""Fault 3."""') == set()
