"""SQL lives in queries modules, once and in use; every migration says how it is undone."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

HEADER = ("purpose", "phase", "lock", "undo")
_UP = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


class Named(NamedTuple):
    """A query: the constant that holds it and the name that metrics show."""

    constant: str
    name: str


def queries(text: str) -> list[Named]:
    """Every ``CONSTANT = Query("name", …)`` at the top of a module."""
    found = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.AnnAssign):
            target: ast.expr = node.target
        elif isinstance(node, ast.Assign):
            target = node.targets[0]
        else:
            continue
        if isinstance(target, ast.Name) and isinstance(node.value, ast.Call):
            name = _query_name(node.value)
            if name is not None:
                found.append(Named(target.id, name))
    return found


def _query_name(call: ast.Call) -> str | None:
    """The first argument of a call of Query, by place or by name; None for other calls."""
    if ast.unparse(call.func).split(".")[-1] != "Query":
        return None
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    return str(ast.literal_eval(call.args[0] if call.args else given["name"]))


def unused(declared: dict[Path, list[Named]], modules: dict[Path, str]) -> list[str]:
    """Constants that no module of the service mentions besides the one that declares them."""
    return [
        f"{path}: {query.constant}"
        for path, named in declared.items()
        for query in named
        if not any(
            re.search(rf"\b{query.constant}\b", text)
            for other, text in modules.items()
            if other != path
        )
    ]


def repeated(names: list[str]) -> list[str]:
    """The names that come more than once."""
    return [name for name, count in Counter(names).items() if count > 1]


def bad_migrations(folder: Path) -> list[str]:
    """Migrations without undo, with a gap or a twin in their numbers, or without their header."""
    up = sorted(p for p in folder.iterdir() if _UP.fullmatch(p.name))
    faults = [p.name for p in up if not p.with_suffix(".undo.sql").is_file()]
    if [int(p.name[:4]) for p in up] != list(range(1, len(up) + 1)):
        faults.append("numbers: " + " ".join(p.name[:4] for p in up))
    for path in up:
        head = path.read_text().split("\n\n")[0]
        missing = [word for word in HEADER if not re.search(rf"^-- {word}: \S", head, re.MULTILINE)]
        faults += [f"{path.name}: {word}" for word in missing]
    return faults


def test_every_query_is_used_and_named_once(modules: dict[Path, str]) -> None:
    """Its name is a label of a metric: two queries of one name could not be told apart."""
    declared = {p: queries(t) for p, t in modules.items() if p.name.endswith("queries.py")}
    assert declared
    found = unused(declared, modules)
    assert not found, "\n".join(found)
    assert repeated([query.name for named in declared.values() for query in named]) == []


def test_unused_and_repeated_queries_are_found() -> None:
    """A mention in the declaring module itself is no use."""
    here, there = Path("a/queries.py"), Path("a/operations.py")
    text = 'ONE = Query("a.one", "SELECT 1")\nTWO: Final = Query(name="a.one", sql="SELECT 2")\n'
    declared = {here: queries(text)}
    assert declared[here] == [Named("ONE", "a.one"), Named("TWO", "a.one")]
    assert unused(declared, {here: text, there: "run(queries.ONE)"}) == ["a/queries.py: TWO"]
    assert repeated([query.name for query in declared[here]]) == ["a.one"]


def test_every_migration_can_be_undone_and_says_what_it_does(root: Path) -> None:
    """Whoever deploys reads purpose, phase, strongest lock and undo before anything else."""
    assert list((root / "migrations").glob("*.sql"))
    assert bad_migrations(root / "migrations") == []


def test_faulty_migrations_are_found(tmp_path: Path) -> None:
    """A missing undo file, a skipped number and a missing header line are each told."""
    head = "".join(f"-- {word}: text\n" for word in HEADER)
    (tmp_path / "0001_good.sql").write_text(head + "\nSELECT 1;")
    (tmp_path / "0001_good.undo.sql").write_text("SELECT 1;")
    assert bad_migrations(tmp_path) == []
    (tmp_path / "0003_bad.sql").write_text(head.replace("-- lock: text\n", "") + "\nSELECT 1;")
    assert bad_migrations(tmp_path) == ["0003_bad.sql", "numbers: 0001 0003", "0003_bad.sql: lock"]
