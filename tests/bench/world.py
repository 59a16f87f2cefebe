"""The servers and the people that all contenders share: PostgreSQL, Redis, tasks, tokens."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from gtsd.clock import Clock
from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.dev.redis import EmbeddedRedis
from gtsd.migrate.runner import up
from gtsd.web.tokens import AccessTokens
from tests.bench.collector import collector
from tests.support.database import outside
from tests.support.environments import JWT_SECRET
from tests.support.process import ROOT
from tests.support.redis import administrator

TASKS_A_DAY: Final = 12
# Between two runs of writes everything is as it was, and as quick to read.
_RESET: Final = """
    TRUNCATE evidence, user_badges, streak_days;
    UPDATE streaks SET longest = 0, total_days = 0;
    UPDATE tasks SET status = 'pending', completed_at = NULL WHERE status <> 'pending'
"""
_BUSY: Final = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND state <> 'idle' AND pid <> pg_backend_pid()
"""
_SEED: Final = """
    INSERT INTO users (email, name, password_hash, timezone)
    SELECT 'bench' || n || '@example.com', 'Bench', 'none', 'UTC'
    FROM generate_series(1, {users}) AS n;
    INSERT INTO streaks (user_id) SELECT id FROM users ON CONFLICT DO NOTHING;
    INSERT INTO tasks (user_id, type, title, description, due_date, due_time, priority, metadata)
    SELECT u.id, (array['workout', 'meal', 'hydration', 'custom'])[1 + n % 4],
        'Task ' || n || ' of the day', 'What there is to do, in a sentence of some length.',
        (now() AT TIME ZONE 'UTC')::date, make_time(6 + n, 15, 0), 'medium', '{{"goal": 3}}'
    FROM users u, generate_series(1, {tasks}) AS n
    WHERE NOT EXISTS (SELECT FROM tasks t WHERE t.user_id = u.id)
    ORDER BY u.id, n
"""


@dataclass(frozen=True)
class World:
    """Where things are, and who is in them: tokens by user id, and each user's first task."""

    folder: Path
    postgres: EmbeddedPostgres
    redis: EmbeddedRedis
    database_url: str
    collector: str
    users: tuple[int, ...]
    first_task: dict[int, int]

    def tokens(self) -> dict[int, str]:
        """Fresh access tokens of everybody: they live for a quarter of an hour."""
        issuer = AccessTokens(Clock(), JWT_SECRET)
        return {
            user: issuer.issue(user, jti=f"bench-{user}", at=time.time()) for user in self.users
        }

    def reset(self) -> None:
        """As it was in the beginning, with nothing cached and nothing counted."""
        # What wrk no longer waited for is still being answered.
        ends = time.monotonic() + 10
        while outside(self.database_url, _BUSY) and time.monotonic() < ends:
            time.sleep(0.02)
        outside(self.database_url, _RESET)
        outside(self.database_url, "VACUUM ANALYZE tasks")
        with administrator(self.redis.url) as admin:
            admin.flushall()


def _seed(url: str, users: int) -> None:
    """People with a day's tasks."""
    outside(url, _SEED.format(users=users, tasks=TASKS_A_DAY))
    outside(url, "VACUUM ANALYZE")


@contextlib.contextmanager
def world(users: int) -> Iterator[World]:
    """Both servers with so many people; gone afterwards. fsync is on, as in production."""
    with tempfile.TemporaryDirectory(prefix="gtsd-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o711)
        postgres = stack.enter_context(
            EmbeddedPostgres(
                folder / "postgres", options={"shared_buffers": "512MB", "max_wal_size": "4GB"}
            )
        )
        redis = stack.enter_context(EmbeddedRedis(folder / "redis", options={"appendonly": "no"}))
        url = postgres.create_database("bench")
        up(url, ROOT / "migrations")
        _seed(url, users)
        rows = outside(
            url,
            "SELECT json_object_agg(user_id, first) FROM"
            " (SELECT user_id, min(id) AS first FROM tasks GROUP BY user_id) AS t",
        )
        first = {int(user): task for user, task in rows.items()}
        traces = stack.enter_context(collector())
        yield World(folder, postgres, redis, url, traces, tuple(first), first)


def processes(root: int) -> list[psutil.Process]:
    """A process and all below it."""
    try:
        process = psutil.Process(root)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
