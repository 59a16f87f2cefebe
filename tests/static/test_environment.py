"""The environment is read in one place, so that everything else can be given another one."""

from __future__ import annotations

import ast
from pathlib import Path

READER = Path("service/gtsd/__main__.py")


def readers(text: str) -> list[str]:
    """Lines that read the environment of the process."""
    return [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute)
        and node.attr in {"environ", "environb", "getenv"}
        and ast.unparse(node.value) == "os"
    ]


def test_only_the_program_itself_reads_the_environment(modules: dict[Path, str]) -> None:
    """Settings are read once and passed down; what reads a variable later is found in no test."""
    assert readers(modules[READER])
    found = [f"{p}: {line}" for p, t in modules.items() if p != READER for line in readers(t)]
    assert not found, "\n".join(found)


def test_a_second_reader_is_found() -> None:
    """Neither another variable of that name nor a call's result is the environment."""
    assert readers("x = os.environ['A']\ny = os.getenv('B')\nz = call.environ\n") == [
        "line 1: os.environ",
        "line 2: os.getenv",
    ]
