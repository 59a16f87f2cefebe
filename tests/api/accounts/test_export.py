"""One's data as a file, and that nothing of it is left after the account has gone."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from gtsd.dev.object_store import EmbeddedObjectStore
from gtsd.export.parts import HIDDEN, LEFT_OUT, PARTS
from gtsd.stores.postgres import Postgres, Query
from tests.api.conftest import Running, Start
from tests.api.photos.conftest import s3_settings
from tests.api.profile.bodies import onboarded
from tests.api.tasks.test_tasks import add
from tests.support.belongings import photo
from tests.support.client import PASSWORD, Client

_COLUMNS = Query(
    "test_columns",
    """
    SELECT c.table_name, c.column_name FROM information_schema.columns c
    JOIN information_schema.tables t USING (table_schema, table_name)
    WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND (
        c.table_name = 'users' OR EXISTS (
            SELECT FROM information_schema.columns k WHERE k.table_schema = c.table_schema
                AND k.table_name = c.table_name AND k.column_name = 'user_id'))
    """,
)
_NUDGE = Query(
    "test_nudge",
    """
    INSERT INTO nudges (user_id, kind, at, local_at, outcome)
    VALUES (%(user_id)s, 'morning', '2026-11-18T06:15Z', '2026-11-18T06:15', 'sent')
    """,
)
# Made by the deletion, for the job that deletes the photos in the store.
_MADE_BY_DELETION = {"photo_owners_deleted"}
PARTNER = {"name": "Bob", "email": "bob@example.com"}


@pytest.fixture
async def service(start: Start, object_store: EmbeddedObjectStore) -> Running:
    """An instance that keeps photos as well."""
    return await start(**s3_settings(object_store))


class Column(NamedTuple):
    """A column of a table that holds something of people."""

    table: str
    name: str


async def personal_columns(postgres: Postgres) -> set[Column]:
    """Every column of a table that says by user_id whose rows it has, and those of users."""
    return {Column(*row) for row in await postgres.rows(_COLUMNS)}


def unaccounted(columns: set[Column]) -> list[str]:
    """Columns that are neither in the file nor left out with a reason."""
    told = {(part.table, name) for part in PARTS for name in part.columns.split()}
    return sorted(
        f"{table}.{name}"
        for table, name in columns
        if table not in LEFT_OUT
        and name != "user_id"
        and (table, name) not in told
        and (table, name) not in HIDDEN
    )


async def lived(service: Running) -> Client:
    """Somebody with a row in every table that people have rows in."""
    ada = await onboarded(await service.person(), partners=[PARTNER], allergies=["nuts"])
    await ada.patch("/v1/profile", {"health": {"currentWeight": 84}})
    seen = (await ada.get("/v1/profile/metrics/today")).data
    words = {name: seen[name] for name in ("version", "metricsComputedAt")}
    await ada.post("/v1/profile/metrics/acknowledge", words)
    await ada.post("/v1/plans/generate", {}, headers={"Idempotency-Key": "k1"})
    task = await add(ada, "Read", repeat="daily", dueTime="06:15")
    proof = {"taskId": task["id"], "type": "text_log", "data": {"text": "ten pages"}}
    await ada.post("/v1/evidence", proof)
    await photo(ada)
    await service.deps.postgres.execute(_NUDGE, user_id=ada.user["id"])
    return ada


async def test_every_column_of_a_person_is_exported_or_left_out_with_a_reason(
    service: Running,
) -> None:
    """A table that is added later has to be told of in gtsd/export/parts.py."""
    columns = await personal_columns(service.deps.postgres)
    assert unaccounted(columns) == []
    known = {column.table for column in columns}
    assert set(LEFT_OUT) <= known
    assert set(HIDDEN) <= columns
    assert all(len(reason.split()) > 3 for reason in [*LEFT_OUT.values(), *HIDDEN.values()])


async def test_a_forgotten_column_is_found() -> None:
    """The control: of a new table, and of one that is known."""
    found = unaccounted({Column("diaries", "id"), Column("tasks", "mood"), Column("tasks", "id")})
    assert found == ["diaries.id", "tasks.mood"]


async def test_the_file_holds_all_that_somebody_told(service: Running) -> None:
    """As a download, in the names and forms that the API uses elsewhere."""
    ada = await lived(service)
    answer = await ada.get("/auth/me/export")
    assert answer.status == 200
    assert answer.headers["Content-Disposition"] == (
        'attachment; filename="gtsd-export-2026-11-18.json"'
    )
    assert answer.headers["Cache-Control"] == "no-store"
    data = answer.data
    empty = {name for name, rows in data.items() if not rows}
    assert empty == set(), "a part of the file that this test has nothing in"
    user = (await ada.get("/auth/me")).data
    (account,) = data["account"]
    for name in ("email", "name", "allergies", "createdAt"):
        assert account[name] == user[name]
    assert data["healthProfile"][0]["weightKg"] == 84
    assert {name: data["partners"][0][name] for name in PARTNER} == PARTNER
    task = next(task for task in data["tasks"] if task["title"] == "Read")
    assert (task["dueTime"], task["status"]) == ("06:15", "completed")
    assert len(data["tasks"]) == (await ada.get("/v1/tasks")).data["pagination"]["total"]
    assert data["evidence"][0]["data"] == {"text": "ten pages"}


async def test_no_secret_is_in_the_file(service: Running) -> None:
    """Neither hashes nor tokens, nor answers that were kept for a repetition."""
    ada = await lived(service)
    body = (await ada.get("/auth/me/export")).body.decode()
    for word in ("argon2", "passwordHash", "tokenHash", "sealedAnswer", ada.refresh_token):
        assert word not in body


async def test_nothing_of_others_is_in_the_file(service: Running, ada: Client) -> None:
    """Whoever has just come takes an account, a session and a streak away."""
    await lived(service)
    data = (await ada.get("/auth/me/export")).data
    assert {name: len(rows) for name, rows in data.items() if rows} == {
        "account": 1,
        "sessions": 1,
        "streak": 1,
    }
    assert data["account"][0]["id"] == ada.user["id"]


async def test_the_same_file_is_not_sent_twice(ada: Client) -> None:
    """304 for the same ETag; nobody without a token gets one."""
    first = await ada.get("/auth/me/export")
    again = await ada.get("/auth/me/export", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    assert (await Client(ada.base).get("/auth/me/export")).status == 401


@pytest.mark.parametrize("stays", [True, False])
async def test_a_deleted_account_leaves_no_row(service: Running, stays: bool) -> None:
    """In any table that has a user_id; the control keeps the account, and all tables have rows."""
    ada, postgres = await lived(service), service.deps.postgres
    if not stays:
        assert (await ada.delete("/auth/me", {"password": PASSWORD})).status == 202
    tables = {column.table for column in await personal_columns(postgres)} - _MADE_BY_DELETION
    rows: dict[str, Any] = {}
    for table in sorted(tables):
        key = "id" if table == "users" else "user_id"
        query = Query("test_rows", f"SELECT count(*) FROM {table} WHERE {key} = %(user_id)s")
        rows[table] = await postgres.value(query, user_id=ada.user["id"])
    assert [table for table, count in rows.items() if (count > 0) is not stays] == []
