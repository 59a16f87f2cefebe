"""Refresh tokens: spent once, and a copy ends the session (fault 3)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg2

from gtsd.clock import FixedClock
from tests.api.conftest import Running
from tests.support.client import Client, Response

_WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


async def _refresh(client: Client, token: str) -> Response:
    return await client.post("/auth/refresh", {"refreshToken": token})


def _sql(service: Running, sql: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(service.deps.settings.database_url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


async def test_a_token_gives_the_next_pair(service: Running, ada: Client) -> None:
    """Which works in its turn."""
    first = await _refresh(service.client, ada.refresh_token)
    assert first.status == 200
    assert (await ada.get("/auth/me", token=first.data["accessToken"])).status == 200
    second = await _refresh(service.client, first.data["refreshToken"])
    assert second.status == 200
    assert second.data["refreshToken"] not in (ada.refresh_token, first.data["refreshToken"])


async def test_of_parallel_uses_exactly_one_wins(service: Running, ada: Client) -> None:
    """The others are refused, and the winner's pair lives on (fault 3: all of five won)."""
    held = psycopg2.connect(service.deps.settings.database_url)
    with held.cursor() as cursor:
        # Nobody gets on before all have begun.
        cursor.execute(f"SELECT FROM refresh_tokens WHERE user_id = {ada.user['id']} FOR UPDATE")
    uses = [asyncio.create_task(_refresh(service.client, ada.refresh_token)) for _ in range(5)]
    async with asyncio.timeout(20):
        while await asyncio.to_thread(_sql, service, _WAITING) != [(len(uses),)]:
            await asyncio.sleep(0.01)
    held.rollback()
    held.close()
    answers = await asyncio.gather(*uses)
    assert sorted(answer.status for answer in answers) == [200, 401, 401, 401, 401]
    winner = next(answer for answer in answers if answer.status == 200)
    assert (await _refresh(service.client, winner.data["refreshToken"])).status == 200


async def test_a_crowd_of_retries_gets_one_pair(service: Running, ada: Client) -> None:
    """However many answers there are, one pair of tokens came of them."""
    answers = await asyncio.gather(*(_refresh(service.client, ada.refresh_token) for _ in range(8)))
    assert len({a.data["refreshToken"] for a in answers if a.status == 200}) == 1


async def test_a_retry_of_the_winner_gets_the_same_pair(service: Running, ada: Client) -> None:
    """Its answer may have been lost on the way."""
    first = await _refresh(service.client, ada.refresh_token)
    again = await _refresh(service.client, ada.refresh_token)
    assert again.status == 200
    assert again.data == first.data


async def test_a_retry_after_ten_seconds_is_a_copy(service: Running, ada: Client) -> None:
    """The whole family ends, the newest token included (fault 3)."""
    first = await _refresh(service.client, ada.refresh_token)
    _sql(service, "UPDATE refresh_tokens SET spent_at = spent_at - interval '11 seconds'")
    assert (await _refresh(service.client, ada.refresh_token)).status == 401
    assert (await _refresh(service.client, first.data["refreshToken"])).status == 401


async def test_a_spent_token_ends_the_family_once_its_successor_was_used(
    service: Running, ada: Client
) -> None:
    """Even within ten seconds: the owner has moved on, so this is somebody else."""
    first = await _refresh(service.client, ada.refresh_token)
    second = await _refresh(service.client, first.data["refreshToken"])
    assert (await _refresh(service.client, ada.refresh_token)).status == 401
    assert (await _refresh(service.client, second.data["refreshToken"])).status == 401


async def test_a_token_lives_for_seven_days(
    service: Running, ada: Client, clock: FixedClock
) -> None:
    """And not longer."""
    clock.move(timedelta(days=6, hours=23))
    first = await _refresh(service.client, ada.refresh_token)
    assert first.status == 200
    clock.move(timedelta(days=7, seconds=1))
    assert (await _refresh(service.client, first.data["refreshToken"])).status == 401


async def test_only_hashes_are_stored(service: Running, ada: Client) -> None:
    """Nothing in the table is a part of the token (fault 3)."""
    rows = _sql(
        service,
        "SELECT *, encode(token_hash, 'base64') FROM refresh_tokens "
        f"WHERE user_id = {ada.user['id']}",
    )
    secret = ada.refresh_token.partition(".")[2]
    assert rows
    assert all(secret not in str(row) for row in rows)


async def test_junk_is_refused(service: Running, ada: Client) -> None:
    """Whatever its shape: one answer."""
    tail = ada.refresh_token.partition(".")[2]
    for junk in ("x", "1.", ".abc", f"999999.{tail}", "1." + "A" * 86, "9" * 200, "1.é", "-1.AAAA"):
        answer = await _refresh(service.client, junk)
        assert (answer.status, answer.error["code"]) == (401, "invalid_refresh_token")


async def test_signing_out_ends_the_session_and_may_be_repeated(
    service: Running, ada: Client
) -> None:
    """A token that is unknown is as good."""
    for token in (ada.refresh_token, ada.refresh_token, "junk"):
        assert (await service.client.post("/auth/logout", {"refreshToken": token})).status == 200
    assert (await _refresh(service.client, ada.refresh_token)).status == 401


async def test_a_deactivated_account_gets_no_new_tokens(service: Running, ada: Client) -> None:
    """It is told why."""
    _sql(service, f"UPDATE users SET is_active = false WHERE id = {ada.user['id']}")
    answer = await _refresh(service.client, ada.refresh_token)
    assert (answer.status, answer.error["code"]) == (403, "account_deactivated")
