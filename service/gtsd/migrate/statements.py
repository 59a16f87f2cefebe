"""Where one SQL statement ends and the next begins, by PostgreSQL's lexical rules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\* )
    | (?P<literal> [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*'
        | \$(?P<tag>(?:[A-Za-z_\x80-\U0010ffff]\w*)?)\$ .*? \$(?P=tag)\$ )
    | (?P<quoted> "(?:[^"]|"")*" )
    | (?P<word> [A-Za-z_\x80-\U0010ffff][\w$]* )
    | (?P<space> \s+ )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")

_INDEX_NAME = r'(?P<name>"(?:[^"]|"")+"|[^\s".]+)'
_CREATE_CONCURRENTLY = re.compile(
    rf"CREATE (?:UNIQUE )?INDEX CONCURRENTLY IF NOT EXISTS {_INDEX_NAME} ON ", re.IGNORECASE
)


class Unterminated(ValueError):
    """A quote or comment that never closes; ``line`` is where it opens."""

    def __init__(self, line: int) -> None:
        self.line = line
        super().__init__(f"a quote or comment opened in line {line} is never closed")


class Statement(NamedTuple):
    """``code`` is the text on one line, without comments and with every literal as ``''``."""

    text: str
    line: int
    code: str

    @property
    def builds_index(self) -> str | None:
        """The name, as the catalogue has it, of the index that is created concurrently."""
        match = _CREATE_CONCURRENTLY.match(self.code)
        if match is None:
            return None
        name = match["name"]
        return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def split(sql: str) -> list[Statement]:
    """Statements without their semicolons; raises Unterminated.

    A semicolon within parentheses (rules) or within ``BEGIN ATOMIC … END`` (function bodies) does
    not end a statement: psql has the same two exceptions.
    """
    statements: list[Statement] = []
    code: list[str] = []
    begin = parentheses = body = 0
    previous = ""
    for kind, token, at in _tokens(sql):
        if not code:
            begin = at
        word = token.upper() if kind == "word" else ""
        if body or (previous == "BEGIN" and word == "ATOMIC"):
            body += (word in {"ATOMIC", "CASE"}) - (word == "END")
        parentheses += (token == "(") - (token == ")")
        if token == ";" and not parentheses and not body:
            _add(statements, sql, begin, at, code)
            code = []
        elif kind != "space" or (code and code[-1] != " "):
            code.append(_normal(kind, token))
        previous = word if kind != "space" else previous
    _add(statements, sql, begin, len(sql), code)
    return statements


def _add(found: list[Statement], sql: str, begin: int, end: int, code: list[str]) -> None:
    if code:
        line = sql.count("\n", 0, begin) + 1
        found.append(Statement(sql[begin:end].rstrip(), line, "".join(code).strip()))


def _normal(kind: str, token: str) -> str:
    return {"literal": "''", "space": " "}.get(kind, token)


def _tokens(sql: str) -> Iterator[tuple[str, str, int]]:
    """Kind, text and offset of each token; a comment counts as space."""
    at = 0
    while match := _TOKEN.match(sql, at):
        kind, token = str(match.lastgroup), match[0]
        if token in {"'", '"'}:
            raise Unterminated(sql.count("\n", 0, at) + 1)
        start, at = at, match.end() if token != "/*" else _comment_end(sql, at)
        yield ("space" if kind == "comment" else kind), token, start


def _comment_end(sql: str, start: int) -> int:
    depth = 0
    for edge in _COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    raise Unterminated(sql.count("\n", 0, start) + 1)
