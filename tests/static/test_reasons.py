"""Whoever switches a checker off for a line says why; every test says what it promises."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

_SWITCH = re.compile(
    r"#\s*(noqa(:\s*[A-Z]+[0-9]+([,\s]+[A-Z]+[0-9]+)*)?|type:\s*ignore(\[[\w,\s-]*\])?"
    r"|pragma:\s*no\s*(cover|branch)|nosec)"
)
_SENTENCE_WORDS = 2


def _is_reason(comment: str) -> bool:
    """Whether anything is left to read once the switches are taken out."""
    return len(re.sub(r"[^A-Za-z]", "", _SWITCH.sub("", comment))) >= 6


def unexplained(text: str) -> list[str]:
    """Switches without a reason, neither on their line nor in a comment of its own above it."""
    comments: dict[int, str] = {}
    alone: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            comments[token.start[0]] = token.string
            if token.line.lstrip().startswith("#"):
                alone.add(token.start[0])
    return [
        f"line {line}: {comment}"
        for line, comment in comments.items()
        if _SWITCH.search(comment)
        and not _is_reason(comment)
        and not (line - 1 in alone and _is_reason(comments[line - 1]))
    ]


def untold(text: str) -> list[str]:
    """Tests without a docstring of one paragraph, or whose name is no sentence."""
    return [
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and (
            not (ast.get_docstring(node) or "").rstrip().endswith((".", "?", "!"))
            or len(node.name.split("_")) <= _SENTENCE_WORDS
        )
    ]


def test_every_switch_has_a_reason(modules: dict[Path, str], tests: dict[Path, str]) -> None:
    """An ignore without a reason outlives what it was for."""
    found = [f"{p}: {fault}" for p, t in (modules | tests).items() for fault in unexplained(t)]
    assert not found, "\n".join(found)


def test_a_switch_without_a_reason_is_found() -> None:
    """A reason counts beside the switch or alone on the line above; code in strings does not."""
    bare = (
        "x = 1  # noqa: S105\ny = f()  # type: ignore[no-any-return]\nz = 1  # pragma: no cover\n"
    )
    assert len(unexplained(bare)) == 3
    told = "x = 1  # noqa: S105 - no secret\n# aiopg has no types\ny = f()  # type: ignore\n"
    assert unexplained(told) == []
    assert unexplained('s = "x = 1  # noqa: S105"\n') == []


def test_every_test_is_a_sentence_with_a_docstring(tests: dict[Path, str]) -> None:
    """The name says what must hold, the docstring why or in which sense."""
    assert tests
    found = [f"{path}: {name}" for path, text in tests.items() for name in untold(text)]
    assert not found, "\n".join(found)


def test_a_test_without_a_docstring_is_found() -> None:
    """A name of one word is no sentence."""
    good = 'def test_ready_is_503_while_draining() -> None:\n    """Why."""\n'
    mute = "async def test_ready_is_503_while_starting() -> None:\n    pass\n"
    short = 'def test_ready() -> None:\n    """Why."""\n'
    assert untold(good) == []
    assert untold(mute + short) == ["test_ready_is_503_while_starting", "test_ready"]
