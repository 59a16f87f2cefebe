"""No statement of a request reads a big table from end to end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import psycopg2
import pytest

from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.stores.postgres import Query

USERS, TASKS_EACH = 10_000, 100
USER = 4_711

# Foreign keys take no part in plans, and checking them for a million rows half of the time.
_FILL = f"""
ALTER TABLE tasks DROP CONSTRAINT tasks_user_id_fkey CASCADE;
ALTER TABLE tasks DROP CONSTRAINT tasks_user_id_series_id_fkey;
ALTER TABLE evidence DROP CONSTRAINT evidence_user_id_task_id_fkey;
ALTER TABLE streak_days DROP CONSTRAINT streak_days_user_id_fkey;
INSERT INTO users (email, password_hash, name)
SELECT 'u' || n || '@example.com', 'x', 'x' FROM generate_series(1, {USERS}) n;
INSERT INTO streaks (user_id) SELECT id FROM users;
INSERT INTO sessions (user_id) SELECT id FROM users;
INSERT INTO refresh_tokens (user_id, token_hash, session_id, expires_at)
SELECT user_id, sha256(id::text::bytea), id, now() FROM sessions;
INSERT INTO account_tokens (user_id, token_hash, purpose, email, expires_at)
SELECT id, sha256(id::text::bytea), 'verify_email', email, now() FROM users;
INSERT INTO idempotency_keys (user_id, key, fingerprint, status, sealed_answer)
SELECT id, 'k', sha256('k'), 201, 'x' FROM users;
INSERT INTO sign_in_places (user_id, place, seen_at)
SELECT id, sha256(n::text::bytea), now() FROM users, generate_series(1, 3) n;
UPDATE users SET timezone = 'Europe/Berlin', sms_opt_in = id % 10 = 0,
    phone = '+49301' || (1000000 + id);
INSERT INTO nudges (user_id, kind, at, local_at)
SELECT id, 'morning', at, at::timestamp
FROM users, generate_series(timestamptz '2026-11-01 06:15Z', '2026-11-10 06:15Z', '1 day') at;
INSERT INTO sms_opt_outs (phone) SELECT '+4930' || (1000000 + n) FROM generate_series(1, 20000) n;
INSERT INTO task_series
    (user_id, type, title, priority, repeat, starts_on, made_until)
SELECT id, 'custom', 'x', 'medium', 'daily', '2026-01-01', '2026-06-01' FROM users;
INSERT INTO streak_days (user_id, day, due, completed, skipped, compliant, run)
SELECT id, date '2026-11-18' - n, 1, 1, 0, true, 30 - n FROM users, generate_series(0, 29) n;
INSERT INTO tasks (user_id, type, title, due_date, status, completed_at)
SELECT u, 'custom', 'x', date '2026-11-18' - n + 20,
    CASE WHEN n > 20 THEN 'completed' ELSE 'pending' END,
    CASE WHEN n > 20 THEN now() END
FROM generate_series(1, {USERS}) u, generate_series(1, {TASKS_EACH}) n;
INSERT INTO evidence (user_id, task_id, type, data)
SELECT user_id, id, 'text_log', '{{}}' FROM tasks WHERE id % 10 = 0;
INSERT INTO procrastinate_workers (last_heartbeat) SELECT now() FROM generate_series(1, 2000);
INSERT INTO procrastinate_jobs (queue_name, task_name, status, worker_id, scheduled_at)
SELECT 'mail', 'x', (CASE n % 1000 WHEN 0 THEN 'doing' WHEN 1 THEN 'failed' ELSE 'todo' END)
    ::procrastinate_job_status, CASE n % 1000 WHEN 0 THEN 1 END,
    CASE n % 2 WHEN 0 THEN now() + n * interval '1 second' END
FROM generate_series(1, 20000) n;
ANALYZE;
"""
# One value for every parameter of every query.
_VALUES: dict[str, Any] = {
    "user_id": USER, "id": USER * 100, "task_id": USER * 100, "session_id": USER, "series_id": USER,
    "day": "2026-11-18", "today": "2026-11-18", "from": None, "to": None, "type": None,
    "status": None, "limit": 50, "offset": 0, "now": "2026-11-18T12:00:00Z",
    "enough": "2026-12-02", "until": "2026-12-16", "email": "new@example.com", "name": None,
    "password_hash": "x", "phone": None, "sets_phone": False, "timezone": None, "sms_opt_in": None,
    "is_active": True, "token_hash": b"h" * 32, "successor_hash": b"s" * 32, "salt": b"s",
    "secret": b"s", "purpose": "verify_email", "user_agent": "", "address": None,
    "running_s": 0.1, "key": "new", "fingerprint": b"f" * 32, "sealed": b"s", "scope": "s",
    "title": None, "description": None, "sets_description": False, "due_date": None,
    "due_time": None, "sets_due_time": False, "priority": None, "metadata": None, "repeat": "daily",
    "data": "{}", "notes": None, "reason": None, "yesterday": "2026-11-17", "zones": ["UTC"],
    "days": ["2026-11-18"], "befores": ["2026-11-17"], "user_ids": [USER], "silence": 30,
    "retries": 3, "running": [1], "worker_id": 1, "queue": "mail", "args": "{}", "at": None,
    "state": "dead", "place": b"p" * 32, "most": 5, "ends": "2026-11-18T13:00:00Z", "after": 0,
    "kind": "evening", "users": [USER], "local_at": "2026-11-18T21:00:00", "outcome": "sent",
    "phones": ["+49301111111"], "before": "2026-11-02T00:00:00Z",
}  # fmt: skip
# What an INSERT must not leave out.
_NEEDED: dict[str, dict[str, Any]] = {
    "task_add": {
        "type": "custom", "title": "x", "due_date": "2026-11-18", "priority": "low",
        "metadata": "{}",
    },
    "task_set_status": {"status": "completed"},
    "evidence_add": {"type": "text_log"},
    "user_add": {"name": "x", "timezone": "UTC"},
    "idempotency_store": {"status": 201},
    "nudges_claim": {"timezone": "Europe/Berlin"},
    "sms_opt_in": {"phone": "+49301111111"},
}  # fmt: skip
_MODULES = (
    "gtsd.accounts.mailed_queries",
    "gtsd.accounts.queries",
    "gtsd.jobs.queries",
    "gtsd.nudges.queries",
    "gtsd.streaks.queries",
    "gtsd.tasks.queries",
    "gtsd.web.idempotency",
)
# Counts the queue, every ten seconds, for its metrics; no request waits for it.
_COUNTS_ALL = {"job_queued"}
QUERIES = [
    value
    for module in _MODULES
    for value in vars(import_module(module)).values()
    if isinstance(value, Query) and value.name not in _COUNTS_ALL
]


@pytest.fixture(scope="module")
def big(postgres_server: EmbeddedPostgres, _migrated_template: str) -> Iterator[Any]:
    """A million tasks of ten thousand people."""
    url = postgres_server.create_database("big", _migrated_template)
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(_FILL)
    yield connection
    connection.close()
    postgres_server.drop_database("big")


def _full_scans(connection: Any, sql: str, values: dict[str, Any]) -> list[str]:
    """Tables that a statement reads from end to end, by its plan."""
    found: list[str] = []

    def walk(node: dict[str, Any]) -> None:
        if node["Node Type"] == "Seq Scan":
            found.append(node["Relation Name"])
        for child in node.get("Plans", []):
            walk(child)

    with connection.cursor() as cursor:
        for statement in filter(str.strip, sql.split(";")):
            cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", values)
            plan = cursor.fetchone()[0]
            walk((plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"])
    return found


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_a_query_finds_its_rows_by_an_index(big: Any, query: Query) -> None:
    """On a million tasks."""
    assert _full_scans(big, query.sql, _VALUES | _NEEDED.get(query.name, {})) == []


def test_a_query_without_an_index_is_noticed(big: Any) -> None:
    """The control: looking for a title reads every task."""
    assert _full_scans(big, "SELECT id FROM tasks WHERE title = 'y'", {}) == ["tasks"]


def test_every_feature_is_looked_at() -> None:
    """The list of queries is not empty by mistake."""
    assert len(QUERIES) > 40
