"""Up and down: one runner at a time, short waits for locks, each migration all or nothing."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

from gtsd.migrate import ledger
from gtsd.migrate.blockers import Blocker, describe
from gtsd.migrate.budget import Budget
from gtsd.migrate.connection import Blocked, Link, said
from gtsd.migrate.errors import LockNotHad, MigrationError
from gtsd.migrate.files import Migration, Script, read_folder
from gtsd.migrate.plan import select, select_undo
from gtsd.migrate.runner_lock import become_the_only_runner
from gtsd.migrate.statements import Statement

# While DDL waits, every later query on the table queues behind it: so it waits this long, then
# makes way and tries again.
LOCK_TIMEOUT = 0.25
# lock_timeout counts for each lock; a migration that takes several must not add them up. Seconds of
# waiting in one try, seen from outside.
PATIENCE = 0.3

Record = Callable[[int], tuple[str, Sequence[Any]]]


@dataclass(frozen=True)
class Options:
    """How a run behaves; times in seconds, ``statement_timeout`` 0 for none."""

    budget: float = 60.0
    statement_timeout: float = 30.0
    version: str = "unknown"
    say: Callable[[str], None] = field(default=logging.getLogger(__name__).info)


def up(
    database_url: str,
    folder: Path,
    *,
    budget: float = 60.0,
    to: int | None = None,
    phase: str = "all",
    options: Options | None = None,
) -> list[Migration]:
    """Apply what is pending and return it; ``options``, when given, carries the budget as well.

    Raises BadFiles, Drift, LockNotHad, MigrationError.
    """
    migrations = read_folder(folder)
    with _runner(database_url, "up", options or Options(budget=budget)) as runner:
        pending = ledger.pending(runner.link, migrations)
        chosen = select(pending, to=to, phase=phase, applied=len(migrations) - len(pending))
        if chosen:
            runner.prepare()
        for migration in chosen:
            runner.apply(migration)
    return chosen


def down(
    database_url: str,
    folder: Path,
    *,
    to: int | None = None,
    steps: int | None = None,
    options: Options | None = None,
) -> list[Migration]:
    """Undo from the newest to just above number ``to``, or ``steps`` of them; raises as ``up``."""
    migrations = read_folder(folder)
    with _runner(database_url, "down", options or Options()) as runner:
        pending = ledger.pending(runner.link, migrations)
        applied = migrations[: len(migrations) - len(pending)]
        chosen = select_undo(applied, to=to, steps=steps)
        for migration in chosen:
            runner.undo(migration)
    return chosen


@contextmanager
def _runner(database_url: str, command: str, options: Options) -> Iterator[_Runner]:
    name = f"gtsd migrate {command} on {socket.gethostname()}, process {os.getpid()}"
    link = Link(database_url, name)
    try:
        budget = Budget(options.budget)
        become_the_only_runner(link, budget, options.say)
        yield _Runner(link, budget, options)
    except psycopg2.Error as error:
        raise MigrationError(f"the database said: {said(error)}. Run it again") from error
    finally:
        link.close()


class _Runner:
    """Carries out one script after the other on a session that has the runners' lock."""

    def __init__(self, link: Link, budget: Budget, options: Options) -> None:
        self.link = link
        self._budget = budget
        self._options = options
        self._say = options.say

    def prepare(self) -> None:
        """The ledger's table, if it is not there."""
        self._limit()
        self.link.run(ledger.CREATE)

    def apply(self, migration: Migration) -> None:
        """Up by one; the row of the ledger is part of it."""
        by = f"{self.link.value('SELECT session_user')}@{socket.gethostname()}"

        def record(milliseconds: int) -> tuple[str, Sequence[Any]]:
            row = (migration.name, migration.phase, migration.checksum, by, milliseconds)
            return ledger.INSERT, (migration.number, *row, self._options.version)

        self._carry_out(migration.up, "applied", record)

    def undo(self, migration: Migration) -> None:
        """Down by one."""
        self._carry_out(migration.undo, "undone", lambda _: (ledger.DELETE, [migration.number]))

    def _carry_out(self, script: Script, done: str, record: Record) -> None:
        began = time.monotonic()
        if script.in_transaction:
            self._retried(script, lambda: self._transaction(script, record))
        else:
            for statement in script.statements:
                self._retried(script, lambda s=statement: self._alone(script, s))  # type: ignore[misc]  # mypy: lambda default
            self.link.run(*record(round((time.monotonic() - began) * 1000)))
        self._say(f"{script.name} {done} in {(time.monotonic() - began) * 1000:.0f} ms")

    def _transaction(self, script: Script, record: Record) -> None:
        """The whole file and its row, or nothing."""
        began = time.monotonic()
        self._limit()
        self.link.run("BEGIN")
        try:
            self._send(script, script.sql, line=1, patience=PATIENCE)
            self.link.run(*record(round((time.monotonic() - began) * 1000)))
            self.link.run("COMMIT")
        except BaseException:
            # Where the session itself is gone, the server has rolled back already.
            with suppress(psycopg2.Error):
                self.link.run("ROLLBACK")
            raise

    def _alone(self, script: Script, statement: Statement) -> None:
        """One CONCURRENTLY. Its waits block nobody, so one try may last as long as the budget does.

        Trying again every 250 ms would build the index again each time, and never end on a database
        with longer transactions.
        """
        name, patience = statement.builds_index, max(self._budget.left, LOCK_TIMEOUT)
        if name is not None:
            self._drop_invalid(script, name, patience)
        try:
            self._send_alone(script, statement.text, statement.line, patience)
        except (Blocked, MigrationError):
            # An invalid index costs every write and serves no read.
            if name is not None:
                self._tidy(script, name)
            raise

    def _tidy(self, script: Script, name: str) -> None:
        try:
            self._drop_invalid(script, name, LOCK_TIMEOUT)
        except (Blocked, MigrationError):
            self._say(
                f"{script.name}: the index {name} stays behind, invalid; the next run drops it"
            )

    def _drop_invalid(self, script: Script, name: str, patience: float) -> None:
        """What a killed CREATE INDEX CONCURRENTLY left, which IF NOT EXISTS would take for done."""
        left = self.link.rows(
            "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class c ON c.oid = indexrelid"
            " WHERE c.relname = %s AND NOT (indisvalid AND indisready AND indislive)",
            [name],
        )
        for (index,) in left:
            self._say(f"{script.name}: dropping the invalid index {index}")
            self._send_alone(script, f"DROP INDEX CONCURRENTLY IF EXISTS {index}", 1, patience)

    def _send_alone(self, script: Script, sql: str, line: int, patience: float) -> None:
        self.link.limit(lock_seconds=patience, statement_seconds=0)

        def waits(blockers: Sequence[Blocker]) -> None:
            self._say(f"{script.name}: waits, blocking nobody, for {describe(blockers)}")

        self._send(script, sql, line, patience, waits)

    def _send(
        self,
        script: Script,
        sql: str,
        line: int,
        patience: float,
        on_wait: Callable[[Sequence[Blocker]], None] = lambda _: None,
    ) -> None:
        try:
            self.link.run(sql, patience=patience, on_wait=on_wait)
        except psycopg2.Error as error:
            # The detail is left out: it quotes rows.
            what = said(error)
            if error.pgcode == "57014":
                what += f" (--statement-timeout is {self._options.statement_timeout:g} s)"
            at = int(error.diag.statement_position or 1)
            line += sql.count("\n", 0, at - 1)
            where = f"{script.path.name}, line {line}"
            raise MigrationError(f"{where}: {what}. What came before it stays applied") from error

    def _limit(self) -> None:
        seconds = self._options.statement_timeout
        self.link.limit(lock_seconds=LOCK_TIMEOUT, statement_seconds=seconds)

    def _retried(self, script: Script, attempt: Callable[[], None]) -> None:
        tries = 0
        while True:
            began = time.monotonic()
            try:
                return attempt()
            except Blocked as blocked:
                who = describe(blocked.blockers)
                wasted = time.monotonic() - began
                pause = self._budget.pause(tries, wasted)
                tries += 1
                if pause is None:
                    raise LockNotHad(
                        f"{script.name}: no lock within {self._budget.seconds:g} s and {tries}"
                        f" tries, it was not applied. In the way: {who}"
                    ) from blocked
                self._say(
                    f"{script.name}: try {tries} made way after {wasted:.2f} s, the next one"
                    f" in {pause:.2f} s. In the way: {who}"
                )
