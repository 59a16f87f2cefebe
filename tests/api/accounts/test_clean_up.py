"""What nobody can use any more is deleted, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from gtsd.accounts.jobs import clean_up
from gtsd.stores.postgres import Query
from gtsd.web.jobs import forget_answers
from tests.api.conftest import Running, Start

COUNTS = Query(
    "counts",
    "SELECT (SELECT count(*) FROM refresh_tokens), (SELECT count(*) FROM sessions),"
    " (SELECT count(*) FROM account_tokens), (SELECT count(*) FROM idempotency_keys)",
)


@pytest.fixture
async def alone(migrated_database_url: str, start: Start) -> Running:
    """On a database of its own."""
    return await start(database_url=migrated_database_url)


async def _run(service: Running, sql: str) -> None:
    await service.deps.postgres.execute(Query("prepare", sql))


async def _counts(service: Running) -> tuple[Any, ...]:
    row = await service.deps.postgres.row(COUNTS)
    assert row is not None
    return row


@pytest.fixture
async def used(alone: Running, monkeypatch: pytest.MonkeyPatch) -> Running:
    """Five people with a spent and a live token each, mailed tokens and kept answers."""
    monkeypatch.setattr("gtsd.stores.batches.SIZE", 2)
    for n in range(5):
        person = await alone.person()
        answer = await alone.client.post("/auth/refresh", {"refreshToken": person.refresh_token})
        assert answer.status == 200
        task = {"title": "Read"}
        await person.post("/v1/tasks", task, headers={"Idempotency-Key": f"k{n}"})
    await _run(
        alone,
        "DELETE FROM account_tokens;"
        "INSERT INTO account_tokens (user_id, token_hash, purpose, email, expires_at)"
        " SELECT id, sha256(id::text::bytea), 'verify_email', email, '2026-11-18 13:00Z'"
        " FROM users;"
        "UPDATE idempotency_keys SET created_at = '2026-11-17 13:00Z'",
    )
    return alone


async def test_what_is_in_use_stays(used: Running) -> None:
    """A spent token too, until it expires: its use tells of a copy."""
    before = await _counts(used)
    assert before == (10, 5, 5, 5)
    await clean_up(used.deps)
    await forget_answers(used.deps)
    assert await _counts(used) == before


async def test_what_has_expired_goes_batch_by_batch(used: Running) -> None:
    """The session with the last of its tokens, an answer after a day."""
    await _run(
        used,
        "UPDATE refresh_tokens SET expires_at = '2026-11-18 11:59Z'"
        " WHERE user_id <> (SELECT min(id) FROM users) OR spent_at IS NOT NULL;"
        "UPDATE account_tokens SET expires_at = '2026-11-18 11:59Z'"
        " WHERE user_id <> (SELECT min(id) FROM users);"
        "UPDATE idempotency_keys SET created_at = '2026-11-17 11:59Z' WHERE key <> 'k0'",
    )
    await clean_up(used.deps)
    await forget_answers(used.deps)
    assert await _counts(used) == (1, 1, 1, 1)


async def test_time_that_is_up_leaves_the_rest_to_the_next_run(
    used: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run is bounded, whatever has piled up."""
    await _run(used, "UPDATE account_tokens SET expires_at = '2026-11-18 11:59Z'")
    monkeypatch.setattr("gtsd.accounts.jobs._SECONDS", 0.0)
    await clean_up(used.deps)
    assert (await _counts(used))[2] == 5
