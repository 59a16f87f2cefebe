"""Files stay small enough to be read in one sitting."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

MODULE_LINES = 300
README_LINES = 150
VERB_LINES = 15


def too_long(texts: dict[Path, str], limit: int) -> list[str]:
    """The files that have more lines than the limit, with their number of lines."""
    lengths = {path: len(text.splitlines()) for path, text in texts.items()}
    return [f"{path}: {lines} lines" for path, lines in lengths.items() if lines > limit]


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body, without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def long_verbs(text: str) -> list[str]:
    """Functions of a handlers module that do more than parse, call and answer."""
    return [
        f"{function.name}: {body_lines(function)} lines"
        for function in _functions(ast.parse(text))
        if body_lines(function) > VERB_LINES
    ]


def test_every_module_is_short(modules: dict[Path, str], tests: dict[Path, str]) -> None:
    """A module of more than 300 lines holds more than one idea."""
    assert modules
    found = too_long(modules | tests, MODULE_LINES)
    assert not found, "\n".join(found)


def test_a_long_module_is_found() -> None:
    """The limit is inclusive: 300 lines pass, 301 do not."""
    texts = {Path("fits.py"): "x\n" * MODULE_LINES, Path("long.py"): "x\n" * (MODULE_LINES + 1)}
    assert too_long(texts, MODULE_LINES) == ["long.py: 301 lines"]


def test_the_readme_is_short(root: Path) -> None:
    """The README is read by people who want to start, not to study."""
    readme = root / "README.md"
    assert too_long({readme: readme.read_text()}, README_LINES) == []


def test_every_verb_only_parses_calls_and_answers(modules: dict[Path, str]) -> None:
    """A handler's function has at most 15 lines; what is more belongs into operations."""
    handlers = {path: text for path, text in modules.items() if path.name == "handlers.py"}
    found = [f"{path}: {verb}" for path, text in handlers.items() for verb in long_verbs(text)]
    assert handlers
    assert not found, "\n".join(found)


def test_a_long_verb_is_found() -> None:
    """Docstrings do not count, statements do."""
    body = "    x = 1\n"
    fits = f'async def fits():\n    """Doc."""\n{body * VERB_LINES}'
    long = f"async def long():\n{body * (VERB_LINES + 1)}"
    assert long_verbs(fits + long) == ["long: 16 lines"]
