"""Calls to a Redis that is there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from gtsd.dev.redis import EmbeddedRedis
from gtsd.stores.redis import RedisAway
from gtsd.telemetry import tracing
from tests.support.redis import administrator, opened, own_redis, restricted, until
from tests.support.relay import Relay


async def test_replies_come_in_the_order_of_the_commands(redis_server: EmbeddedRedis) -> None:
    """Bytes, numbers, lists and None, as the server sent them."""
    async with opened(restricted(redis_server.url)) as store:
        await store.run(("DEL", "gtsd:a", "gtsd:h"))
        assert await store.run(
            ("SET", "gtsd:a", 41),
            ("INCR", "gtsd:a"),
            ("GET", "gtsd:a"),
            ("HSET", "gtsd:h", "f", b"\x00\xff"),
            ("HMGET", "gtsd:h", "f", "missing"),
        ) == [b"OK", 42, b"42", 1, [b"\x00\xff", None]]


async def test_all_commands_of_a_call_cost_one_round_trip(redis_server: EmbeddedRedis) -> None:
    """The server sees them in one piece, and a new connection costs nothing but its login."""
    async with Relay(redis_server.port) as relay:
        url = relay.instead_of(redis_server.url)
        async with opened(url) as store:
            assert [chunk.split(b"\r\n")[2] for chunk in relay.requests] == [b"AUTH", b"SET"]
            relay.requests.clear()
            await store.run(*[("GET", "gtsd:a")] * 20)
            assert len(relay.requests) == 1


async def test_a_crowd_shares_a_few_connections(redis_server: EmbeddedRedis) -> None:
    """All are answered, each with their own; one more connection is opened for so many."""
    async with Relay(redis_server.port) as relay:
        url = relay.instead_of(redis_server.url)
        async with opened(url, redis_max_connections=3) as store:
            replies = await asyncio.gather(*(store.run(("ECHO", n)) for n in range(200)))
            assert replies == [[str(n).encode()] for n in range(200)]
            assert 1 < relay.connections <= 3


async def test_a_cancelled_call_does_not_leave_its_answer_to_the_next(
    redis_server: EmbeddedRedis,
) -> None:
    """Nor does it end the calls of others on the same connection."""
    async with opened(redis_server.url, redis_max_connections=1) as store:
        for _ in range(20):
            call = asyncio.create_task(store.run(("ECHO", "mine"), ("ECHO", "mine too")))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            assert await store.run(("ECHO", "yours")) == [b"yours"]
        assert store.available


async def test_what_production_forbids_is_refused(redis_server: EmbeddedRedis) -> None:
    """The control for all tests that run as the restricted user: the restriction works."""
    url = restricted(redis_server.url)
    for command in (("EVAL", "return 1", 0), ("KEYS", "*"), ("GET", "other:key")):
        async with opened(url) as store:
            with pytest.raises(RedisAway, match="permission"):
                await store.run(command)


@pytest.mark.parametrize(
    "answer",
    [
        "LOADING Redis is loading the dataset in memory",
        "READONLY You can't write against a read only replica.",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "MISCONF Redis is configured to save RDB snapshots",
        "MASTERDOWN Link with MASTER is down",
        "NOAUTH Authentication required.",
        "WRONGPASS invalid username-password pair",
        "ERR max number of clients reached",
        "ERR unknown command",
    ],
)
async def test_a_server_that_refuses_counts_as_away(answer: str) -> None:
    """Whatever it says, the request goes on without it and the log has the reason."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            while await reader.read(1000):
                writer.write(f"-{answer}\r\n".encode())

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with opened(f"redis://127.0.0.1:{port}/0") as store:
        assert not store.available
        with pytest.raises(RedisAway):
            await store.run(("GET", "gtsd:a"))
    server.close()


async def test_something_else_behind_the_port_counts_as_away() -> None:
    """An answer that is no answer of Redis must not surprise anybody either."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with opened(f"redis://127.0.0.1:{port}/0") as store:
        assert not store.available
    server.close()


async def test_a_server_can_be_reached_by_its_unix_socket() -> None:
    """The fastest way where it runs on the same host."""
    with own_redis(unixsocket="redis.sock") as server:
        password = server.secret("password")
        async with opened(f"unix://:{password}@{server.data}/redis.sock") as store:
            assert await store.run(("PING",)) == [b"PONG"]


async def test_the_url_names_the_database(
    redis_server: EmbeddedRedis,
) -> None:
    """What lies in database 1 is not seen in database 0."""
    other = redis_server.url.removesuffix("/0") + "/1"
    async with opened(redis_server.url) as zero, opened(other) as one:
        await one.run(("SET", "gtsd:only-here", "1", "EX", 5))
        assert await one.run(("GET", "gtsd:only-here")) == [b"1"]
        assert await zero.run(("GET", "gtsd:only-here")) == [None]


async def test_each_call_is_a_span_that_tells_no_keys(
    redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys name users; the operation is enough to see where the time went."""
    spans: list[tuple[Any, ...]] = []

    @contextlib.contextmanager
    def span(*arguments: Any) -> Iterator[None]:
        spans.append(arguments)
        yield

    async with opened(redis_server.url) as store:
        monkeypatch.setattr(tracing, "span", span)
        await store.run(("GET", "gtsd:who:17"))
        await store.run(("GET", "gtsd:who:17"), ("PING",))
    kind = tracing.CLIENT
    assert spans == [
        ("redis GET", kind, {"db.system.name": "redis", "db.operation.name": "GET"}),
        ("redis PIPELINE", kind, {"db.system.name": "redis", "db.operation.name": "PIPELINE"}),
    ]


async def test_closing_closes_connections_that_are_in_use(redis_server: EmbeddedRedis) -> None:
    """They are closed when their call has ended; nothing is left behind on the server."""
    async with Relay(redis_server.port) as relay:
        url = relay.instead_of(redis_server.url)
        async with opened(url) as store:
            call = asyncio.create_task(store.run(("CLIENT", "SETNAME", "gtsd-closing")))
            await until(lambda: len(relay.requests) > 2)
            await store.close()
            await call
            with pytest.raises(RedisAway):
                await store.run(("PING",))
    with administrator(redis_server.url) as admin:
        assert "gtsd-closing" not in [client["name"] for client in admin.client_list()]


async def test_a_wrong_argument_is_raised_and_not_taken_for_a_server_that_is_away(
    redis_server: EmbeddedRedis,
) -> None:
    """A fault of ours should be seen as one."""
    async with opened(redis_server.url) as store:
        with pytest.raises(Exception, match="Invalid input"):
            await store.run(("GET", None))  # type: ignore[arg-type]  # that is the fault
        assert store.available
