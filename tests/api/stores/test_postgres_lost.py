"""Connections that break at the worst moment, and commits of which nobody knows the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from gtsd.deadline import within
from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.errors import DependencyUnavailable
from tests.support.aiopg_kinds import at_port, eventually
from tests.support.database import log_lines, opened, outside, query
from tests.support.proxy import Proxy, Verdict, proxy_to

INSERT = query("INSERT INTO t VALUES (%(id)s)")
COUNT = query("SELECT count(*) FROM t")


def _once(proxy: Proxy, word: bytes, verdict: Verdict) -> Callable[[bytes], Verdict]:
    def judge(message: bytes) -> Verdict:
        if word not in message:
            return Verdict.PASS
        proxy.judge = lambda _: Verdict.PASS
        return verdict

    return judge


async def test_a_statement_that_may_have_been_done_is_not_repeated(
    table_url: str, postgres_server: EmbeddedPostgres
) -> None:
    """The answer to an INSERT is lost: the caller is told, and there is one more row, not two."""
    async with (
        proxy_to(postgres_server.port) as proxy,
        opened(at_port(table_url, proxy.port)) as database,
    ):
        proxy.judge = _once(proxy, b"INSERT", Verdict.CUT_AFTER)
        with pytest.raises(DependencyUnavailable):
            await database.execute(INSERT, id=2)
        assert await database.value(COUNT) == 2


@pytest.mark.parametrize("verdict", [Verdict.CUT_BEFORE, Verdict.CUT_AFTER])
async def test_a_transaction_that_is_lost_at_its_beginning_is_begun_again(
    verdict: Verdict, table_url: str, postgres_server: EmbeddedPostgres
) -> None:
    """Without COMMIT nothing can have happened, even if the server did the first statement."""
    async with (
        proxy_to(postgres_server.port) as proxy,
        opened(at_port(table_url, proxy.port)) as database,
    ):
        proxy.judge = _once(proxy, b"BEGIN", verdict)
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, id=2)
        assert await database.value(COUNT) == 2


async def test_a_transaction_is_begun_again_only_once(
    table_url: str, postgres_server: EmbeddedPostgres
) -> None:
    """A statement that brings the server down is not sent to it for ever."""
    begun: list[bytes] = []

    def judge(message: bytes) -> Verdict:
        if b"BEGIN" not in message:
            return Verdict.PASS
        begun.append(message)
        return Verdict.CUT_BEFORE

    async with (
        proxy_to(postgres_server.port) as proxy,
        opened(at_port(table_url, proxy.port)) as database,
    ):
        proxy.judge = judge
        with pytest.raises(DependencyUnavailable):
            async with database.transaction() as transaction:
                await transaction.execute(INSERT, id=2)
        assert len(begun) == 2
        assert await database.value(COUNT) == 1


async def test_a_transaction_that_is_lost_in_its_middle_fails(
    table_url: str, postgres_server: EmbeddedPostgres
) -> None:
    """Its first statements are gone, so going on alone with the rest would be wrong."""
    async with (
        proxy_to(postgres_server.port) as proxy,
        opened(at_port(table_url, proxy.port)) as database,
    ):
        with pytest.raises(DependencyUnavailable):
            async with database.transaction() as transaction:
                await transaction.execute(INSERT, id=2)
                proxy.judge = _once(proxy, b"INSERT", Verdict.CUT_BEFORE)
                await transaction.execute(INSERT, id=3)
        assert await database.value(COUNT) == 1


@pytest.mark.parametrize(
    ("verdict", "rows"), [(Verdict.CUT_BEFORE, 1), (Verdict.CUT_AFTER, 2)], ids=["no", "yes"]
)
async def test_a_commit_without_an_answer_is_of_unknown_outcome(
    verdict: Verdict, rows: int, table_url: str, postgres_server: EmbeddedPostgres
) -> None:
    """It may or may not have happened: the caller is told 503, and no callback runs."""
    told: list[int] = []

    async def tell() -> None:
        told.append(1)

    async with (
        proxy_to(postgres_server.port) as proxy,
        opened(at_port(table_url, proxy.port)) as database,
    ):
        proxy.judge = _once(proxy, b"COMMIT", verdict)
        with pytest.raises(DependencyUnavailable):
            async with database.transaction() as transaction:
                transaction.after_commit(tell)
                await transaction.execute(INSERT, id=2)
        assert told == []
        assert await database.value(COUNT) == rows


async def test_a_rollback_that_fails_closes_the_connection(
    table_url: str, postgres_server: EmbeddedPostgres
) -> None:
    """The first exception is what the caller gets, and the next one starts clean."""
    async with (
        proxy_to(postgres_server.port) as proxy,
        opened(at_port(table_url, proxy.port), database_pool_size=1) as database,
    ):
        with pytest.raises(KeyError):
            async with database.transaction() as transaction:
                await transaction.execute(INSERT, id=2)
                proxy.judge = _once(proxy, b"ROLLBACK", Verdict.CUT_BEFORE)
                raise KeyError
        assert await database.value(COUNT) == 1


@pytest.fixture
def unreplicated(own_postgres: EmbeddedPostgres) -> Iterator[str]:
    """A primary whose synchronous standby is away: COMMIT waits for it."""
    own_postgres.administer("DROP DATABASE IF EXISTS unreplicated")
    url = own_postgres.create_database("unreplicated")
    outside(url, "CREATE TABLE t (id int)")
    own_postgres.administer("ALTER SYSTEM SET synchronous_standby_names = 'away'")
    own_postgres.administer("SELECT pg_reload_conf()")
    own_postgres.administer("ALTER ROLE gtsd SET synchronous_commit = on")
    yield url
    own_postgres.administer("ALTER ROLE gtsd RESET synchronous_commit")
    own_postgres.administer("ALTER SYSTEM RESET synchronous_standby_names")
    own_postgres.administer("SELECT pg_reload_conf()")


def _cancel_the_wait(server: EmbeddedPostgres) -> bool:
    """As an operator does who sees that writes hang."""
    waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    return bool(server.administer(f"SELECT pg_cancel_backend(pid) {waiting}"))


async def test_a_commit_that_is_not_replicated_is_of_unknown_outcome(
    unreplicated: str, own_postgres: EmbeddedPostgres
) -> None:
    """The server stops waiting and answers with success and a warning; the row could be lost."""

    async def cancelled() -> bool:
        return await asyncio.to_thread(_cancel_the_wait, own_postgres)

    async def in_a_transaction() -> None:
        async with database.transaction() as transaction:
            await transaction.execute(INSERT, id=1)

    async with opened(unreplicated) as database:
        for work in (in_a_transaction(), database.execute(INSERT, id=2)):
            with log_lines() as lines:
                task = asyncio.create_task(work)
                assert await eventually(cancelled)
                with pytest.raises(DependencyUnavailable):
                    await task
            assert any("perhaps not replicated" in line for line in lines)
        assert await database.value(COUNT) == 2


async def test_an_answer_that_only_carries_a_notice_is_good(table_url: str) -> None:
    """Notices of other kinds change nothing, and do not pile up."""
    async with opened(table_url) as database:
        await database.execute(query("DO $$ BEGIN RAISE WARNING 'hm'; END $$"))
        assert await database.value(COUNT) == 1


async def test_a_commit_that_is_not_answered_in_time_is_of_unknown_outcome(
    table_url: str, postgres_server: EmbeddedPostgres
) -> None:
    """The relay swallows COMMIT, so that not even the server's own timeout is heard of."""

    def swallow(message: bytes) -> Verdict:
        return Verdict.SWALLOW if b"COMMIT" in message else Verdict.PASS

    async with (
        proxy_to(postgres_server.port) as proxy,
        opened(at_port(table_url, proxy.port)) as database,
    ):
        proxy.judge = swallow
        with within(0.2), pytest.raises(DependencyUnavailable):
            async with database.transaction() as transaction:
                await transaction.execute(INSERT, id=2)
        assert await database.value(COUNT) == 1
