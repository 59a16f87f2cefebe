"""Tornado as its guide shows it: RequestHandler, aiopg's own pool, redis.asyncio, json."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from typing import Any

import aiopg
import jwt
import tornado.web
from peers import shared as s
from prometheus_client import Histogram, generate_latest
from redis.asyncio import Redis

DURATION = Histogram(
    "http_request_duration_seconds", "Time to answer", ["method", "route", "status"]
)
log = logging.getLogger("peer")


class Base(tornado.web.RequestHandler):
    """What all handlers share."""

    pool: Any
    redis: Any
    user: int

    def initialize(self, pool: Any, redis: Any) -> None:
        self.pool, self.redis = pool, redis

    async def prepare(self) -> None:
        try:
            self.user = s.user_of(self.request.headers.get("Authorization", ""))
        except (jwt.PyJWTError, KeyError, ValueError):
            raise tornado.web.HTTPError(401) from None
        if not await s.allowed(self.redis, self.user):
            raise tornado.web.HTTPError(429)
        key = f"peer:account:{self.user}"
        found = await self.redis.get(key)
        if found is None:
            row = await self.one(s.QUERIES["account"], {"user_id": self.user})
            if row is None:
                raise tornado.web.HTTPError(401)
            found = json.dumps(row)
            await self.redis.set(key, found, ex=60)
        if not json.loads(found)[2]:
            raise tornado.web.HTTPError(403)

    async def one(self, query: Any, given: dict[str, Any]) -> Any:
        async with self.pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(query["text"], given)
            return await cursor.fetchone()


class Today(Base):
    """GET /v1/tasks/today"""

    async def load(self, limit: int) -> Any:
        given = s.day_parameters(self.user, limit)
        return json.loads((await self.one(s.QUERIES["today"], given))[0])

    async def get(self) -> None:
        limit = int(self.get_query_argument("limit", "50"))
        if limit != 50:
            self.write({"success": True, "data": await self.load(limit)})
            return
        found = await self.redis.get(s.day_key(self.user))
        if found is None:
            data = await self.load(50)
            await self.redis.set(s.day_key(self.user), json.dumps(data), ex=60)
        else:
            data = json.loads(found)
        self.write({"success": True, "data": data})


class Evidence(Base):
    """POST /v1/evidence"""

    async def post(self) -> None:
        body = json.loads(self.request.body)
        if body["type"] != "text_log" or not isinstance(body["data"]["text"], str):
            raise tornado.web.HTTPError(400)
        given = s.evidence_parameters(self.user, int(body["taskId"]), body["type"], body["data"])
        async with (
            self.pool.acquire() as connection,
            connection.cursor() as cursor,
            cursor.begin(),
        ):
            for query in s.QUERIES["evidence"]:
                await cursor.execute(query["text"], given)
            row = await cursor.fetchone()
        if row is None or row[0] is None:
            raise tornado.web.HTTPError(404)
        await self.redis.delete(s.day_key(self.user))
        self.set_status(201)
        self.write({"success": True, "data": json.loads(row[0])})


class Ready(tornado.web.RequestHandler):
    """GET /ready"""

    def get(self) -> None:
        self.write({"ready": True})


class Metrics(tornado.web.RequestHandler):
    """GET /metrics"""

    def get(self) -> None:
        self.write(generate_latest())


def told(handler: tornado.web.RequestHandler) -> None:
    seconds, status = handler.request.request_time(), handler.get_status()
    method, path = handler.request.method, handler.request.path
    DURATION.labels(method, type(handler).__name__, str(status)).observe(seconds)
    line = {"time": time.time(), "method": method, "url": path, "status": status}
    log.info(json.dumps({**line, "seconds": seconds}))


async def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    pool = await aiopg.create_pool(os.environ["DATABASE_URL"], minsize=10, maxsize=10)
    shared = {"pool": pool, "redis": Redis.from_url(os.environ["REDIS_URL"])}
    routes = [
        ("/v1/tasks/today", Today, shared),
        ("/v1/evidence", Evidence, shared),
        ("/ready", Ready),
        ("/metrics", Metrics),
    ]
    app = tornado.web.Application(routes, log_function=told)  # type: ignore[arg-type]
    app.listen(int(os.environ["PORT"]), "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
