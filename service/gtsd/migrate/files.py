"""The folder of migrations: ``NNNN_name.sql`` with its ``NNNN_name.undo.sql``, read and judged."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gtsd.migrate.errors import BadFiles, Problem
from gtsd.migrate.statements import Statement, Unterminated, split

HEADER_EXAMPLES = {
    "purpose": "-- purpose: a person may switch reminders off",
    "phase": "-- phase: expand",
    "lock": "-- lock: ACCESS EXCLUSIVE on users (no rewrite)",
    "undo": "-- undo: drops the column; the choices made since are lost",
    "transaction": "-- transaction: none",
}
_REQUIRED = ("purpose", "phase", "lock", "undo")
_VALUES = {
    "phase": re.compile(r"expand|contract"),
    "transaction": re.compile(r"none"),
    "lock": re.compile(
        r"(none|access share|row share|row exclusive|share update exclusive|share"
        r"|share row exclusive|exclusive|access exclusive)\b.*",
        re.IGNORECASE,
    ),
}
_NAME = re.compile(r"(?P<number>\d{4})_(?P<name>[a-z0-9_]+)(?P<undo>\.undo)?\.sql")
_HEADER = re.compile(r"--\s*(?P<key>[a-z_-]+):\s*(?P<value>.*)")
# A dump of the whole schema lives beside the migrations.
_NOT_MIGRATIONS = {"schema.sql"}

_OWN_TRANSACTION = re.compile(
    r"(BEGIN|START TRANSACTION|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE|PREPARE TRANSACTION)\b",
    re.IGNORECASE,
)
_OWN_SETTINGS = re.compile(
    r"(SET|RESET|DISCARD)\b|SELECT (pg_catalog\.)?set_config\b", re.IGNORECASE
)
_NEEDS_NO_TRANSACTION = re.compile(
    r"(CREATE (UNIQUE )?|DROP |RE)INDEX (\w+ )?CONCURRENTLY\b|VACUUM\b|ALTER SYSTEM\b"
    r"|(CREATE|DROP) DATABASE\b",
    re.IGNORECASE,
)
# What may be run a second time after it was cut off anywhere, with the same end.
_REPEATABLE = re.compile(
    r"CREATE (UNIQUE )?INDEX CONCURRENTLY IF NOT EXISTS \S+ ON"
    r"|DROP INDEX CONCURRENTLY IF EXISTS"
    r"|ALTER TABLE (ONLY )?\S+ VALIDATE CONSTRAINT \S+$"
    r"|ANALYZE\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Script:
    """One file; ``in_transaction`` is false where its statements run one by one."""

    path: Path
    sql: str
    headers: dict[str, str]
    statements: Sequence[Statement]

    @property
    def name(self) -> str:
        """Of the migration that it belongs to."""
        return self.path.stem.removesuffix(".undo")

    @property
    def in_transaction(self) -> bool:
        return self.headers.get("transaction") != "none"


@dataclass(frozen=True)
class Migration:
    """A numbered step up and its way back; ``checksum`` is the SHA-256 of the step's bytes."""

    number: int
    name: str
    checksum: str
    up: Script
    undo: Script

    @property
    def phase(self) -> str:
        return self.up.headers["phase"]

    @property
    def lock(self) -> str:
        return self.up.headers["lock"]


def read_folder(folder: Path) -> list[Migration]:
    """In order from 1, without gaps; raises BadFiles with every problem of every file."""
    if not folder.is_dir():
        raise BadFiles(
            [Problem(str(folder), "no such folder", "gtsd migrate up --folder migrations")]
        )
    problems: list[Problem] = []
    pairs: dict[int, dict[bool, Path]] = {}
    for path in sorted(folder.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            if path.name not in _NOT_MIGRATIONS:
                wanted = "0007_reminders.sql, 0007_reminders.undo.sql"
                problems.append(Problem(path.name, "the name is not NNNN_name.sql", wanted))
            continue
        pair = pairs.setdefault(int(match["number"]), {})
        is_undo = match["undo"] is not None
        if is_undo in pair:
            clash = f"number {match['number']} is taken by {pair[is_undo].name}"
            problems.append(Problem(path.name, clash, f"{max(pairs) + 1:04}_{match['name']}.sql"))
        else:
            pair[is_undo] = path
    problems += _gaps(pairs)
    migrations = [_read_pair(number, pairs[number], problems) for number in sorted(pairs)]
    if problems:
        raise BadFiles(sorted(problems))
    return [migration for migration in migrations if migration is not None]


def _gaps(pairs: dict[int, dict[bool, Path]]) -> list[Problem]:
    missing = sorted(set(range(1, max(pairs, default=0))) - set(pairs))
    above = [min(number for number in pairs if number > gap) for gap in missing]
    gaps = [
        Problem(
            min(path.name for path in pairs[after].values()),
            f"number {gap:04} is missing before it",
            f"{gap:04}_name.sql",
        )
        for gap, after in zip(missing, above, strict=True)
    ]
    if 0 in pairs:
        gaps.append(
            Problem(min(p.name for p in pairs[0].values()), "numbers begin at 0001", "0001")
        )
    return gaps


def _read_pair(number: int, pair: dict[bool, Path], problems: list[Problem]) -> Migration | None:
    forward, back = pair.get(False), pair.get(True)
    if forward is None or back is None:
        present = (forward or back or Path()).name
        stem = present.removesuffix(".sql").removesuffix(".undo")
        missing = f"{stem}.sql" if forward is None else f"{stem}.undo.sql"
        problems.append(Problem(present, f"{missing} is missing", f"create {missing}"))
        return None
    if back.name != f"{forward.stem}.undo.sql":
        wrong = f"its name does not go with {forward.name}"
        problems.append(Problem(back.name, wrong, f"{forward.stem}.undo.sql"))
    up, undo = _read_script(forward, problems), _read_script(back, problems)
    problems += _missing_headers(up)
    checksum = hashlib.sha256(forward.read_bytes()).hexdigest()
    return Migration(number, forward.stem, checksum, up, undo)


def _read_script(path: Path, problems: list[Problem]) -> Script:
    try:
        sql = path.read_bytes().decode()
        statements = split(sql)
    except UnicodeDecodeError:
        problems.append(Problem(path.name, "it is not UTF-8", "iconv -f latin1 -t utf8"))
        return Script(path, "", {}, [])
    except Unterminated as error:
        problems.append(
            Problem(path.name, str(error), "'it''s closed'  $$ closed $$  /* closed */")
        )
        return Script(path, "", {}, [])
    headers = _read_headers(path.name, sql, problems)
    script = Script(path, sql, headers, statements)
    if not statements:
        problems.append(Problem(path.name, "there is no statement in it", "DROP TABLE reminders;"))
    problems += [problem for s in statements if (problem := _judge(script, s)) is not None]
    return script


def _read_headers(file: str, sql: str, problems: list[Problem]) -> dict[str, str]:
    """``-- key: value`` from the first line on; a line without a key goes on with the last one."""
    headers: dict[str, str] = {}
    key = ""
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        match = _HEADER.fullmatch(line.rstrip())
        if match is None:
            if key:
                headers[key] += " " + line.lstrip("- ").rstrip()
            continue
        key, value = match["key"], match["value"]
        example = HEADER_EXAMPLES.get(key, ", ".join(f"-- {known}: …" for known in HEADER_EXAMPLES))
        if key not in HEADER_EXAMPLES:
            problems.append(Problem(file, f"unknown header {key!r}", example))
        elif key in headers:
            problems.append(Problem(file, f"header {key!r} is there twice", example))
        elif not value or (key in _VALUES and not _VALUES[key].fullmatch(value)):
            problems.append(Problem(file, f"header {key!r} has no valid value: {value!r}", example))
        headers[key] = value
    return headers


def _missing_headers(script: Script) -> list[Problem]:
    return [
        Problem(script.path.name, f"header {key!r} is missing", HEADER_EXAMPLES[key])
        for key in _REQUIRED
        if key not in script.headers
    ]


def _judge(script: Script, statement: Statement) -> Problem | None:
    """What the runner could not carry out as promised, or not a second time."""
    code, where = statement.code, f"line {statement.line}: "
    start = code[:60]
    if _OWN_TRANSACTION.match(code):
        problem = f"{where}{start!r}: transactions are the runner's"
        example = "leave it out; -- transaction: none for CONCURRENTLY"
    elif _OWN_SETTINGS.match(code):
        problem = f"{where}{start!r}: settings, above all lock_timeout, are the runner's"
        example = "gtsd migrate up --statement-timeout 600"
    elif script.in_transaction and _NEEDS_NO_TRANSACTION.match(code):
        problem = f"{where}{start!r} cannot run in a transaction"
        example = "-- transaction: none"
    elif not script.in_transaction and not _REPEATABLE.match(code):
        problem = f"{where}{start!r} cannot be repeated after a kill: it needs a transaction"
        example = "CREATE INDEX CONCURRENTLY IF NOT EXISTS tasks_due ON tasks (user_id, due_on)"
    else:
        return None
    return Problem(script.path.name, problem, example)
