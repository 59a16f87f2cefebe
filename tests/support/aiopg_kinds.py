"""The same calls for aiopg as it is shipped and as it is mended, so that a test can show both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiopg

from gtsd.stores.aiopg_mended import Connection, Pool


class Kind(Enum):
    """Which of the two a scenario runs with."""

    MENDED = "mended"
    SHIPPED = "as shipped"


# As shipped, many defects are a wait until then; mended, nothing of the kind is waited for, and a
# busy machine has its time.
PATIENCE = {Kind.MENDED: 5.0, Kind.SHIPPED: 1.0}


async def connect(kind: Kind, dsn: str, timeout: float = 5.0) -> Any:
    """A connection; both kinds have the methods of aiopg's."""
    if kind is Kind.SHIPPED:
        return await aiopg.connect(dsn, timeout=timeout, enable_hstore=False)
    return await Connection(dsn, timeout, enable_hstore=False)


@asynccontextmanager
async def connection(kind: Kind, dsn: str, timeout: float = 5.0) -> AsyncIterator[Any]:
    """The same, closed at the end."""
    opened = await connect(kind, dsn, timeout)
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def pool(kind: Kind, dsn: str, maxsize: int, minsize: int = 0) -> AsyncIterator[Any]:
    """A pool whose waits end after its ``PATIENCE``; terminated at the end."""

    timeout = PATIENCE[kind]

    async def resolve() -> str:
        return dsn

    opened: Any
    if kind is Kind.SHIPPED:
        opened = await aiopg.create_pool(
            dsn, minsize=minsize, maxsize=maxsize, timeout=timeout, enable_hstore=False
        )
    else:
        opened = Pool(resolve, maxsize=maxsize, connect_timeout=timeout, recycle=600.0)
    try:
        yield opened
    finally:
        opened.terminate()
        async with asyncio.timeout(5):
            await opened.wait_closed()


async def value(connection: Any, sql: str, timeout: float | None = None) -> Any:
    """The first column of the first row, through aiopg's own cursor."""
    async with connection.cursor() as cursor:
        await cursor.execute(sql, timeout=timeout)
        return (await cursor.fetchone())[0]


async def eventually(condition: Callable[[], Awaitable[bool]], within: float = 3.0) -> bool:
    """Whether something becomes true in time; looks every 20 ms."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + within
    while not await condition():
        if loop.time() > ends:
            return False
        await asyncio.sleep(0.02)
    return True


def at_port(dsn: str, *ports: int) -> str:
    """The same DSN for other ports of 127.0.0.1, to be tried in this order."""
    parts = urlsplit(dsn)
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{hosts}"))
