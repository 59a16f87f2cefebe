"""A restore that succeeds is no proof yet: what came back is judged, too."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from urllib.parse import unquote

import psutil
import pytest

from gtsd.drill import checks, service
from gtsd.drill.errors import Cause, DrillError
from gtsd.drill.reading import reading
from tests.api.drill.conftest import Drill, Drills
from tests.conftest import MIGRATIONS
from tests.support.backed_up import BackedUp, flip
from tests.support.process import PACKAGE

# What a server would refuse is brought in behind its back, as damage comes.
_CATALOGUE = "SET allow_system_table_mods TO on; "
_REPLICA = "SET session_replication_role TO replica; "
_BLIND = "UPDATE pg_index SET indisready = {0}, indisvalid = {0} WHERE indexrelid = '{1}'::regclass"
_NULLS = (
    "UPDATE pg_attribute SET attnotnull = {}"
    " WHERE attrelid = 'users'::regclass AND attname = 'name'"
)

_HIDE = _CATALOGUE + _BLIND.format("false", "{}")
_SHOW = _CATALOGUE + _BLIND.format("true", "{}")
_FOREIGN = [f"{_REPLICA}UPDATE tasks SET user_id = 999 WHERE id = 1"]
_CHECKED = [
    "ALTER TABLE tasks DROP CONSTRAINT tasks_type",
    "UPDATE tasks SET type = 'nonsense' WHERE id IN (2, 3)",
    "ALTER TABLE tasks ADD CONSTRAINT tasks_type CHECK (type <> 'nonsense') NOT VALID",
    f"{_CATALOGUE}UPDATE pg_constraint SET convalidated = true WHERE conname = 'tasks_type'",
]
_TWICE = [
    _HIDE.format("users_email_unique"),
    "UPDATE users SET email = 'person1@example.com' WHERE email = 'person2@example.com'",
    _SHOW.format("users_email_unique"),
]
_EMPTY = [
    _CATALOGUE + _NULLS.format("false"),
    "UPDATE users SET name = NULL WHERE id = 3",
    _CATALOGUE + _NULLS.format("true"),
]
_RIGHT = [
    f"{_REPLICA}UPDATE tasks SET user_id = 1 WHERE id = 1",
    "UPDATE tasks SET type = 'custom' WHERE id IN (2, 3)",
    "UPDATE users SET email = 'person2@example.com' WHERE id = 2",
    "UPDATE users SET name = 'Ada' WHERE id = 3",
    "REINDEX TABLE users",
]


def _all(primary: BackedUp, statements: list[str]) -> None:
    for sql in statements:
        primary.execute(sql)


def test_rows_that_break_constraints_fail_the_drill(primary: BackedUp, drill: Drill) -> None:
    """A key that leads nowhere, of an otherwise good restore; once it is right, the drill is."""
    _all(primary, _FOREIGN)
    primary.archive()
    try:
        outcome = drill()
    finally:
        _all(primary, _RIGHT)
        primary.archive()
    assert outcome.failed == ("constraints", "invariant")
    assert "tasks_user_id_fkey of public.tasks: 1 rows" in outcome.line["why"]
    assert outcome.metrics["gtsd_restore_rto_seconds"] > 0
    assert drill().status == 0


def test_every_kind_of_constraint_is_counted_in_the_rows(primary: BackedUp) -> None:
    """Neither an index nor the catalogue is believed."""
    with reading(primary.dsn()) as reader:
        assert checks.constraints(reader) > 100
    _all(primary, [*_FOREIGN, *_CHECKED, *_TWICE, *_EMPTY])
    try:
        with reading(primary.dsn()) as reader, pytest.raises(DrillError) as caught:
            checks.constraints(reader)
    finally:
        _all(primary, _RIGHT)
    for says in (
        "NOT NULL of public.users: 1 rows",
        "tasks_type of public.tasks: 2 rows",
        "users_email_unique of public.users: 1 rows",
        "tasks_user_id_fkey of public.tasks: 1 rows",
    ):
        assert says in str(caught.value)
    with reading(primary.dsn()) as reader:
        checks.constraints(reader)


def test_a_row_that_its_index_does_not_have_is_told(primary: BackedUp) -> None:
    """Queries by that index would never find it."""
    checks.structure(primary.binaries, primary.dsn("postgres"))
    new = "INSERT INTO tasks (user_id, type, title, due_date) VALUES (1, 'custom', 'x', now())"
    _all(primary, [_HIDE.format("tasks_pkey"), new, _SHOW.format("tasks_pkey")])
    try:
        with pytest.raises(DrillError, match="lacks matching index tuple"):
            checks.structure(primary.binaries, primary.dsn("postgres"))
    finally:
        _all(primary, ["REINDEX TABLE tasks", "DELETE FROM tasks WHERE title = 'x'"])
    checks.structure(primary.binaries, primary.dsn("postgres"))


def test_ledgers_that_were_changed_are_told(primary: BackedUp) -> None:
    """That of the releases by its hashes, that of the migrations by the files."""
    assert checks.releases(primary.dsn()) == 1
    assert "0 pending" in checks.migrations(primary.dsn(), MIGRATIONS)
    _all(
        primary,
        [
            "ALTER TABLE gtsd_deploys DISABLE TRIGGER only_grows",
            "UPDATE gtsd_deploys SET version = '1.4.1'",
            "UPDATE gtsd_migrations SET name = '0002_others' WHERE number = 2",
        ],
    )
    try:
        with pytest.raises(DrillError, match="record 1 was changed"):
            checks.releases(primary.dsn())
        with pytest.raises(DrillError, match="0002_others"):
            checks.migrations(primary.dsn(), MIGRATIONS)
    finally:
        _all(
            primary,
            [
                "UPDATE gtsd_deploys SET version = '1.4.0'",
                "ALTER TABLE gtsd_deploys ENABLE ALWAYS TRIGGER only_grows",
                "UPDATE gtsd_migrations SET name = '0002_tasks' WHERE number = 2",
            ],
        )


def test_a_service_that_cannot_work_on_it_is_told(primary: BackedUp, tmp_path: Path) -> None:
    """With its own role: rights are a part of what has to come back."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PACKAGE)}
    url, log = primary.url("gtsd_app"), tmp_path / "log"
    assert service.smoke(url, log, environ) > 10
    primary.execute("REVOKE SELECT ON users FROM gtsd_app")
    try:
        with pytest.raises(DrillError, match="POST /auth/signup: 5"):
            service.smoke(url, log, environ)
    finally:
        primary.execute("GRANT SELECT ON users TO gtsd_app")
    with pytest.raises(DrillError, match="does not work"):
        service.smoke("nonsense", log, environ)


@pytest.mark.parametrize("sign", ["data/PG_VERSION", "data/postmaster.pid", "service.log"])
def test_a_stopped_drill_leaves_nothing(drills: Drills, sign: str) -> None:
    """SIGTERM while it restores, recovers, or serves: no folder, no process, and a red metric."""
    process = drills.start()
    until = time.monotonic() + 30
    while not (drills.folder / "throwaway" / sign).exists():
        assert time.monotonic() < until, sign
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    outcome = drills.ended(process)
    assert outcome.failed[1] == "stopped"
    assert "SIGTERM" in outcome.line["why"]
    left = [one.info for one in psutil.process_iter(["cmdline", "environ"])]
    # The service has the folder in the URL of its database alone.
    assert str(drills.folder) not in unquote(str(left))


def test_two_drills_in_one_folder_do_not_meet(drills: Drills) -> None:
    """The second one says so; the first one goes on."""
    first = drills.start()
    until = time.monotonic() + 30
    while not (drills.folder / "throwaway").exists():
        assert time.monotonic() < until
        time.sleep(0.002)
    second = drills.start()
    with second:
        _, errors = second.communicate(timeout=30)
    assert second.returncode == 1
    assert "another drill runs" in errors
    assert drills.ended(first).status == 0


def test_a_page_that_is_not_as_written_is_told(primary: BackedUp) -> None:
    """Of any file, be it one that no query reads."""
    primary.stop()
    page = primary.data / "global" / "1262"
    try:
        checks.pages(primary.binaries, primary.data)
        flip(page, 8000)
        with pytest.raises(DrillError, match="pages are damaged") as caught:
            checks.pages(primary.binaries, primary.data)
        flip(page, 8000)
    finally:
        primary.start()
    assert caught.value.cause is Cause.INVARIANT
