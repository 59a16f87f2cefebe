"""Which migrations a command is about, and how that is told before it is done."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from gtsd.migrate.errors import BadUsage, MigrationError
from gtsd.migrate.files import Migration

PHASES = ("expand", "contract", "all")


def select(
    pending: Sequence[Migration], *, to: int | None, phase: str, applied: int
) -> list[Migration]:
    """What ``up`` applies: always from the lowest pending number on, none left out.

    A phase takes the leading ones of its kind. One that lies behind the other kind is refused: with
    it left out, new code would start on an old shape. An empty database is different: no old code
    runs on it, so ``expand`` takes everything there. Raises BadUsage, MigrationError.
    """
    head = applied + len(pending)
    if to is not None and not 0 <= to <= head:
        raise BadUsage(f"there is no migration {to}: the highest is {head}")
    wanted = [migration for migration in pending if to is None or migration.number <= to]
    if phase == "all" or (phase == "expand" and applied == 0):
        return wanted
    chosen = list(takewhile(lambda migration: migration.phase == phase, wanted))
    behind = [migration for migration in wanted[len(chosen) :] if migration.phase == phase]
    if behind:
        first = wanted[len(chosen)]
        raise MigrationError(
            f"{behind[0].name} ({phase}) comes after {first.name} ({first.phase}), which is not"
            f" applied: run `up --phase {first.phase}` first, when the running release allows it."
            " Nothing done"
        )
    return chosen


def select_undo(
    applied: Sequence[Migration], *, to: int | None, steps: int | None
) -> list[Migration]:
    """What ``down`` undoes, newest first; raises BadUsage unless one of the two is given."""
    if (to is None) == (steps is None):
        raise BadUsage("down needs one of --to N and --steps N")
    if min(to or 0, steps or 0) < 0:
        raise BadUsage("--to and --steps cannot be negative")
    keep = to if to is not None else max(0, len(applied) - (steps or 0))
    return list(reversed(applied[keep:]))


def explain(chosen: Sequence[Migration], *, undo: bool = False) -> str:
    """Files, phases, locks and the beginning of each statement."""
    if not chosen:
        return "nothing to do"
    lines = []
    for migration in chosen:
        script = migration.undo if undo else migration.up
        how = "in one transaction" if script.in_transaction else "statement by statement"
        lock = f", lock: {script.headers['lock']}" if "lock" in script.headers else ""
        lines.append(f"{script.path.name}  {migration.phase}, {how}{lock}")
        lines += [f"    line {s.line}: {s.code[:90]}" for s in script.statements]
    return "\n".join(lines)
