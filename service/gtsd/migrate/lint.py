"""Refuse DDL that would stop the service: squawk's rules, by the phase of each migration, and ours.

Run as ``python -m gtsd.migrate.lint [folder]``: it needs the program ``squawk`` and no database.
Exits 0 when all is well, otherwise 2 with every finding.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gtsd.migrate.errors import BadFiles, MigrationError
from gtsd.migrate.files import Migration, Script, read_folder

# Squawk says no to these because running code may still use what goes. When a contract migration
# runs, none does; and an undo takes away what its migration brought.
_MAY_GO = re.compile(r"ban-drop-(?!database)")
_CREATED = re.compile(
    r'CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?(?P<table>[\w."]+)', re.IGNORECASE
)


class Rule(NamedTuple):
    """A pattern that starts a statement; ``table``, where it has one, is the table it is about."""

    name: str
    pattern: re.Pattern[str]
    problem: str
    advice: str


def _rule(name: str, pattern: str, problem: str, advice: str) -> Rule:
    pattern = pattern.replace("{table}", r'(?:ONLY |IF EXISTS )?(?P<table>[\w."]+)')
    return Rule(name, re.compile(pattern, re.IGNORECASE), problem, advice)


# What squawk lets pass.
RULES = (
    _rule(
        "rewrite-under-lock",
        r"(?:VACUUM FULL|CLUSTER|REINDEX|REFRESH MATERIALIZED VIEW (?!CONCURRENTLY))\b",
        "nobody may use the table until it is written anew",
        "a job beside the service",
    ),
    _rule(
        "rewrite-under-lock",
        r"ALTER TABLE {table} SET (?:LOGGED|UNLOGGED|TABLESPACE|ACCESS METHOD)\b",
        "nobody may use the table until it is written anew",
        "a new table that a job fills",
    ),
    _rule(
        "checked-column",
        r"ALTER TABLE {table} ADD (?:COLUMN )?(?!CONSTRAINT\b|CHECK\b).*\bCHECK ?\(",
        "every row is read while nobody may use the table",
        "ADD COLUMN, then ADD CONSTRAINT … CHECK (…) NOT VALID, then VALIDATE in the next file",
    ),
    _rule(
        "numbered-column",
        r"ALTER TABLE {table} ADD (?:COLUMN )?.*\bAS IDENTITY\b",
        "every row is numbered and written anew while nobody may use the table",
        "a nullable column that a job fills",
    ),
    _rule(
        "every-row-at-once",
        r"(?:UPDATE|DELETE FROM) {table}(?!.* WHERE )",
        "every row stays locked until the migration ends",
        "a job in batches, between expand and contract",
    ),
    _rule("truncate", r"TRUNCATE\b", "the rows are gone at once", "a job that deletes in batches"),
    _rule("explicit-lock", r"LOCK\b", "it takes more than the statement needs", "leave it out"),
)


class Finding(NamedTuple):
    """One unsafe statement; ``advice`` is what to write instead."""

    file: str
    line: int
    rule: str
    problem: str
    advice: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.problem}\n    instead: {self.advice}"


def lint(folder: Path, squawk: str, config: Path | None = None) -> list[Finding]:
    """Every finding, by file and line; raises BadFiles, MigrationError."""
    migrations = read_folder(folder)
    scripts = [script for migration in migrations for script in (migration.up, migration.undo)]
    findings = [finding for script in scripts for finding in _ours(script)]
    for inside in (True, False):
        paths = [script.path for script in scripts if script.in_transaction is inside]
        findings += _squawks(paths, squawk, config, in_transaction=inside)
    going = {path for migration in migrations for path in _may_drop(migration)}
    return sorted(f for f in findings if not (f.file in going and _MAY_GO.match(f.rule)))


def _may_drop(migration: Migration) -> Iterator[str]:
    yield migration.undo.path.name
    if migration.phase == "contract":
        yield migration.up.path.name


def _ours(script: Script) -> Iterator[Finding]:
    created = {
        match["table"].lower()
        for statement in script.statements
        if (match := _CREATED.match(statement.code))
    }
    for statement in script.statements:
        for rule in RULES:
            match = rule.pattern.match(statement.code)
            if match and match.groupdict().get("table", "").lower() not in created:
                said = (rule.name, rule.problem, rule.advice)
                yield Finding(script.path.name, statement.line, *said)
    yield from _unexplained(script)


def _unexplained(script: Script) -> Iterator[Finding]:
    """An exception from a rule has its reason on the line above."""
    before = ""
    for number, line in enumerate(script.sql.splitlines(), 1):
        if "squawk-ignore" in line:
            told = before.startswith("--") and "squawk-ignore" not in before
            if not told or "squawk-ignore-file" in line:
                problem = "a rule is switched off without a reason, or for the whole file"
                advice = "-- the reason\n             -- squawk-ignore changing-column-type"
                yield Finding(script.path.name, number, "unexplained-ignore", problem, advice)
        before = line.strip()


def _squawks(
    paths: Sequence[Path], squawk: str, config: Path | None, *, in_transaction: bool
) -> list[Finding]:
    if not paths:
        return []
    mode = "--assume-in-transaction" if in_transaction else "--no-assume-in-transaction"
    options = ["--config", str(config)] if config is not None else []
    command = [squawk, *options, mode, "--reporter", "json", *map(str, paths)]
    done = subprocess.run(  # noqa: S603 - our own words, no shell
        command, capture_output=True, text=True, timeout=60, check=False
    )
    # 1 is squawk's way to say that it found something; it says so in JSON.
    if done.returncode not in {0, 1} or not done.stdout.startswith("["):
        raise MigrationError(f"squawk did not work: {' '.join(done.stderr.split())}")
    return [
        Finding(
            Path(found["file"]).name,
            found["line"] + 1,
            found["rule_name"],
            found["message"],
            found["help"] or "see squawkhq.com/docs/rules",
        )
        for found in json.loads(done.stdout)
    ]


def find_squawk() -> str:
    """Beside the interpreter that runs, else on the PATH; raises MigrationError."""
    beside = Path(sys.executable).with_name("squawk")
    found = str(beside) if beside.exists() else shutil.which("squawk")
    if found is None:
        raise MigrationError("squawk was not found: install squawk-cli, or give --squawk")
    return found


def main(arguments: Sequence[str]) -> int:
    """The command line; prints findings and returns the exit code."""
    parser = argparse.ArgumentParser(description="refuse unsafe migrations")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("migrations"))
    parser.add_argument("--squawk", metavar="PATH", help="the program, where it is not on the PATH")
    parser.add_argument("--config", type=Path, default=Path(".squawk.toml"))
    args = parser.parse_args(arguments)
    try:
        findings = lint(args.folder, args.squawk or find_squawk(), args.config)
    except MigrationError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.writelines(f"{finding}\n" for finding in findings)
    return BadFiles.exit_code if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
