"""Findings as a page that can be read at three in the morning."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable
from typing import Any

Finding = dict[str, str]
_WIDTH = 110
_COLUMN = 30
_MARK = {"red": "RED", "unchecked": "-"}


def _row(mark: str, check: str, says: str, width: int) -> str:
    if len(check) > width:
        return textwrap.fill(
            f"{check}: {says}",
            _WIDTH,
            initial_indent=f"  {mark:<5} ",
            subsequent_indent=" " * 8,
            break_long_words=False,
        )
    margin = " " * (width + 10)
    lines: list[str] = []
    for line in says.splitlines() or [""]:
        lines += textwrap.wrap(line, _WIDTH - len(margin), break_long_words=False) or [""]
    text = f"  {mark:<5} {check:<{width}}  " + f"\n{margin}".join(lines)
    return text.rstrip()


def _of_host(findings: list[Finding]) -> list[str]:
    """What is wrong line by line, what is right in as few lines as possible."""
    wrong = [item for item in findings if item["state"] == "red"]
    rows = [("RED", item["check"], item["says"]) for item in wrong]
    # What has the same reason is one line: on a bare host that is nearly everything.
    reasons: dict[str, list[str]] = {}
    for item in findings:
        if item["state"] == "unchecked":
            reasons.setdefault(item["says"], []).append(item["check"])
    rows += [("-", ", ".join(checks), says) for says, checks in reasons.items()]
    width = min(max((len(check) for _, check, _ in rows), default=0), _COLUMN)
    lines = [_row(mark, check, says, width) for mark, check, says in rows]
    right = [
        f"{item['check']} ({item['says']})" if item["says"] else item["check"]
        for item in findings
        if item["state"] == "green"
    ]
    text = textwrap.wrap("; ".join(right), _WIDTH - 8, break_long_words=False)
    return [*lines, *(f"  {'ok' if number == 0 else '':<5} {t}" for number, t in enumerate(text))]


def _boxes(findings: Iterable[Finding]) -> list[str]:
    """Each box has its line, also a green one."""
    rows = list(findings)
    width = max(len(item["check"]) for item in rows)
    return [_row(_MARK.get(i["state"], "ok"), i["check"], i["says"], width) for i in rows]


def preflight_table(findings: list[Finding], title: str) -> str:
    """All findings by host, then what is red once more, since the end is what one sees."""
    hosts: dict[str, list[Finding]] = {}
    for item in findings:
        hosts.setdefault(item["host"], []).append(item)
    lines = [title]
    for host, mine in hosts.items():
        lines += ["", host, *(_boxes(mine) if host == "checklist" else _of_host(mine))]
    count = {state: sum(item["state"] == state for item in findings) for state in (*_MARK, "green")}
    lines += [
        "",
        f"{count['red']} red, {count['green']} green, {count['unchecked']} cannot be checked",
    ]
    return "\n".join(lines)


def preflight_problems(problems: list[dict[str, str]]) -> str:
    """What is wrong with an inventory: host, variable, problem and example of each."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"{count} in the inventory; nothing was changed.", ""]
    for problem in problems:
        lines += [
            f"{problem['host']}: {problem['variable']} {problem['problem']}",
            f"    example: {problem['example']}",
        ]
    return "\n".join(lines)


def preflight_findings(problems: list[dict[str, str]]) -> list[Finding]:
    """Problems of an inventory in the form that programs read the findings in."""
    return [
        {
            "host": problem["host"],
            "check": f"inventory {problem['variable']}",
            "state": "red",
            "says": f"{problem['problem']}; example: {problem['example']}",
        }
        for problem in problems
    ]


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The names that templates use."""
        return {
            "preflight_findings": preflight_findings,
            "preflight_problems": preflight_problems,
            "preflight_table": preflight_table,
        }
