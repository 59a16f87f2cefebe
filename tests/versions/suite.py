"""`make test-versions`: the release before and this one share a database, and both work.

While a release rolls, hosts of both run on what its expand migrations made. So on that schema

- the tests of the release before pass, with its own service and its own packages, and
- ours pass, without what contract migrations would do for them later, where there are such.

What these take away the release before may still use: once they are applied, nobody returns to it.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gtsd.migrate.errors import MigrationError
from gtsd.migrate.files import Migration, read_folder
from tests.versions import copies
from tests.versions.previous import Unsuitable, own_version, release_before

ROOT = Path(__file__).parents[2]
# What says nothing about a release on another's schema, and why.
LEFT_OUT = {
    "tests/api/migrate": "they try the runner, and the very files that are exchanged here",
    "tests/api/drill": "what a backup brings back, whatever is in it",
    "tests/api/lifecycle": "how a process starts and ends, whatever it keeps",
    "tests/api/ops": "what happens while servers are away or slow, whatever they keep",
    "tests/api/stores": "the drivers, with tables of their own",
    "tests/api/telemetry": "what is told of requests, whatever they keep",
    "tests/api/test_docs.py": "a page in a browser",
    "tests/api/web": "headers, limits and errors of HTTP",
}
_OPTIONS = ["-q", "--no-cov", "-p", "no:cacheprovider", "-n", "auto", "--maxprocesses=4",
            "--dist", "loadfile"]  # fmt: skip


@dataclass
class Trial:
    """Somebody's tests on somebody's schema, how they went and how long they took, in seconds."""

    name: str
    status: int
    seconds: float

    def __str__(self) -> str:
        return f"{'FAILED' if self.status else 'ok':7} {self.seconds:4.0f} s  {self.name}"


@dataclass
class Matrix:
    """Runs trials one after the other, and keeps what came of them."""

    checkout: Path
    tests: Sequence[str]
    trials: list[Trial] = field(default_factory=list)

    def attempt(self, name: str, copy: Path, migrations: Sequence[Migration]) -> None:
        """The copy's own tests with its own service, on the schema that the migrations make."""
        say(f"\n== {name}")
        copies.give(copy, migrations)
        command = [str(copies.python(copy, self.checkout)), "-m", "pytest", *_OPTIONS]
        command += [*(f"--ignore={path}" for path in LEFT_OUT), *self.tests]
        started = time.monotonic()
        done = subprocess.run(command, cwd=copy, env=copies.environ(copy), check=False)
        self.trials.append(Trial(name, done.returncode, time.monotonic() - started))


def run(matrix: Matrix, folder: Path) -> None:
    """Every trial that the checkout's history asks for, with copies in the folder.

    Raises Unsuitable, MigrationError.
    """
    checkout = matrix.checkout
    own, before = own_version(checkout), release_before(checkout)
    migrations = read_folder(checkout / "migrations")
    known = 0
    if before is None:
        say(f"{own} is the first release: there is none before it whose tests could run.")
    else:
        copies.of_commit(checkout, before.commit, folder / "theirs")
        known = copies.released(migrations, read_folder(folder / "theirs" / "migrations"))
    expanded = copies.before_contract(migrations, known)
    if before is not None:
        new = f"{len(expanded) - known} new migrations of {own}"
        theirs = f"{before.version} ({before.commit[:10]}) with {new}"
        matrix.attempt(theirs, folder / "theirs", expanded)
    if later := len(migrations) - len(expanded):
        copies.of_desk(checkout, folder / "ours")
        matrix.attempt(f"{own} without {later} of contract", folder / "ours", expanded)
    else:
        say(f"{own} has no new migration of contract: without them is how `make test` runs.")


def main(arguments: Sequence[str]) -> int:
    """Run all of it; 1 where a trial failed or could not be made."""
    parser = argparse.ArgumentParser("make test-versions", description=__doc__)
    parser.add_argument("--checkout", type=Path, default=ROOT, help="default: this one")
    parser.add_argument("--tests", default="tests/api", help="words for pytest")
    given = parser.parse_args(arguments)
    matrix = Matrix(given.checkout.resolve(), shlex.split(given.tests))
    faults = []
    with tempfile.TemporaryDirectory(prefix="gtsd-versions-") as name:
        # As root, servers run under another account, which has to pass through.
        Path(name).chmod(0o711)
        try:
            run(matrix, Path(name))
        except (Unsuitable, MigrationError) as error:
            faults.append(str(error))
    rows = [
        f"{'FAILED' if t.status else 'ok':7} {t.seconds:4.0f} s  {t.name}" for t in matrix.trials
    ]
    say("\n".join(["", "test-versions:", *rows, *faults]))
    return 1 if faults or any(trial.status for trial in matrix.trials) else 0


def say(text: str) -> None:
    """At once, and in order with what pytest writes."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
