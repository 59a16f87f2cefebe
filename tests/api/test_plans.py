"""No statement of a request reads a big table from end to end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, time
from importlib import import_module
from typing import Any

import psycopg2
import pytest

from gtsd.badges.catalogue import as_json
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
ALTER TABLE plans DROP CONSTRAINT plans_user_id_fkey;
INSERT INTO health_profiles (user_id, date_of_birth, gender, height_cm, weight_kg, activity_level,
    primary_goal, target_weight_kg, target_date, metrics_computed_at)
SELECT id, '1990-05-17', 'male', 175, 85.55, 'very_active', 'lose_weight', 78, '2027-06-30', now()
FROM users;
INSERT INTO plans (user_id, starts_on, ends_on, archived_on, primary_goal, activity_level,
    weight_kg, meals_per_day, bmr_kcal, tdee_kcal, calories_kcal, protein_g, water_ml,
    weekly_rate_kg)
SELECT id, date '2026-11-18' - 7 * n, date '2026-11-24' - 7 * n,
    CASE WHEN n > 0 THEN date '2026-11-25' - 7 * n END,
    'lose_weight', 'very_active', 85.55, 3, 1774, 3060, 2560, 188, 3000, -0.5
FROM users, generate_series(0, 9) n;
INSERT INTO partners (user_id, name, phone)
SELECT id, 'x', '+4930123456' FROM users, generate_series(1, 3);
INSERT INTO profile_changes (user_id, field, before, after)
SELECT id, 'x', '1', '2' FROM users, generate_series(1, 9);
INSERT INTO metrics_acknowledgements (user_id, version, metrics_computed_at)
SELECT user_id, metrics_version, metrics_computed_at FROM health_profiles;
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
INSERT INTO tasks
    (user_id, type, title, due_date, status, completed_at, plan_day, plan_slot)
SELECT u, 'custom', 'x', date '2026-11-18' - n + 20,
    CASE WHEN n > 20 THEN 'completed' ELSE 'pending' END,
    CASE WHEN n > 20 THEN now() END,
    CASE WHEN n % 2 = 0 THEN date '2026-11-18' - n + 20 END,
    CASE WHEN n % 2 = 0 THEN 'water' END
FROM generate_series(1, {USERS}) u, generate_series(1, {TASKS_EACH}) n;
INSERT INTO evidence (user_id, task_id, type, data)
SELECT user_id, id, 'text_log', '{{}}' FROM tasks WHERE id % 10 = 0;
INSERT INTO user_badges (user_id, badge)
SELECT id, 'streak_' || n FROM users, generate_series(1, 5) n;
INSERT INTO photos (user_id, upload_key, object_key, file_name, content_type, size_bytes,
    task_id, confirmed_at)
SELECT id, 'uploads/' || id || '/' || n, CASE WHEN n > 1 THEN 'photos/' || id || '/' || n END,
    'a.jpg', 'image/jpeg', 1, NULL, CASE WHEN n > 1 THEN now() END
FROM users, generate_series(1, 10) n;
INSERT INTO photo_owners_deleted (user_id) SELECT id FROM users;
INSERT INTO photo_sweeps (folder, after_key) SELECT id, 'x' FROM users;
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
    "data": "{}", "notes": None, "reason": None, "catalogue": as_json(), "after": 0,
    "upload_key": f"uploads/{USER}/a.jpg", "object_key": f"photos/{USER}/b.jpg", "size": 1,
    "file_name": "a.jpg", "content_type": "image/jpeg", "evidence_type": None, "taken_at": None,
    "most": 100, "before": "2026-11-02T00:00:00Z", "over": "2026-11-18T11:00:00Z",
    "folder": "photos/", "owners": [USER] * 50,
    "keys": [f"photos/{USER}/a.jpg"] * 50,
    "yesterday": "2026-11-17", "zones": ["UTC"],
    "days": ["2026-11-18"], "befores": ["2026-11-17"], "user_ids": [USER], "silence": 30,
    "retries": 3, "running": [1], "worker_id": 1, "queue": "mail", "args": "{}", "at": None,
    "state": "dead",
    "todays": [date(2026, 11, 18)], "starts": [date(2026, 11, 18)], "times": [time(12)],
    "date_of_birth": "1990-05-17", "gender": "male", "height": 175, "weight": 85.55,
    "activity_level": "very_active", "primary_goal": "lose_weight", "target_weight": 78,
    "target_date": "2027-06-30", "dietary_preferences": [], "allergies": [], "meals_per_day": 3,
    "moves_metrics": True, "partners": "[]", "changes": "[]", "plans": "[]", "tasks": "[]",
    "version": 1, "computed_at": "2026-11-18T12:00:00Z", "after_day": "2026-11-01",
    "after_user": 0,
    "place": b"p" * 32, "ends": "2026-11-18T13:00:00Z",
    "kind": "evening", "users": [USER], "local_at": "2026-11-18T21:00:00", "outcome": "sent",
    "phones": ["+49301111111"],
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
    "plans_ending": {"until": "2026-11-19"},
    "plan_tasks_add": {"days": 7},
    "nudges_claim": {"timezone": "Europe/Berlin"},
    "sms_opt_in": {"phone": "+49301111111"},
}  # fmt: skip
_MODULES = (
    "gtsd.accounts.mailed_queries",
    "gtsd.accounts.queries",
    "gtsd.export.queries",
    "gtsd.badges.queries",
    "gtsd.photos.queries",
    "gtsd.jobs.queries",
    "gtsd.plans.queries",
    "gtsd.profile.queries",
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


@pytest.mark.parametrize(
    "query", [query for query in QUERIES if "user_ids" in query.sql], ids=lambda query: query.name
)
def test_a_chunk_of_people_does_not_lead_to_a_scan_of_what_they_did(big: Any, query: Query) -> None:
    """Two hundred at once, as a job has them, are still found one by one."""
    days, people = [date(2026, 11, 18)] * 200, list(range(1, 10_000, 50))
    chunk: dict[str, Any] = {"user_ids": people, "days": days, "todays": days, "starts": days}
    chunk |= {"times": [time(12)] * 200, "befores": days, "zones": ["UTC"] * 200}
    assert set(_full_scans(big, query.sql, _VALUES | chunk)) <= {
        "users",
        "streaks",
        "health_profiles",
    }


def test_a_query_without_an_index_is_noticed(big: Any) -> None:
    """The control: looking for a title reads every task."""
    assert _full_scans(big, "SELECT id FROM tasks WHERE title = 'y'", {}) == ["tasks"]


def test_every_feature_is_looked_at() -> None:
    """The list of queries is not empty by mistake."""
    assert len(QUERIES) > 40
