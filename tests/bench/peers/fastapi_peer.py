"""FastAPI, asyncpg and redis, with typed answers, on uvicorn with uvloop and httptools."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

import asyncpg
import jwt
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from peers import shared as s
from prometheus_client import Histogram, make_asgi_app
from pydantic import BaseModel, Field
from redis.asyncio import Redis

DURATION = Histogram(
    "http_request_duration_seconds", "Time to answer", ["method", "route", "status"]
)
log = logging.getLogger("peer")


class Task(BaseModel):
    """As the API shows it."""

    id: int
    type: str
    title: str
    description: str | None
    dueDate: str
    dueTime: str | None
    status: str
    priority: str
    repeat: str | None
    completedAt: str | None
    skippedAt: str | None
    skipReason: str | None
    metadata: dict[str, Any]
    evidence: list[dict[str, Any]]
    createdAt: str
    updatedAt: str


class Today(BaseModel):
    """A day."""

    date: str
    totalTasks: int
    completedTasks: int
    completionPercentage: int
    tasksByType: dict[str, list[Task]]
    streak: dict[str, int]
    pagination: dict[str, int | bool]


class TodayAnswer(BaseModel):
    """With the envelope."""

    success: bool = True
    data: Today


class Text(BaseModel):
    """A proof."""

    text: Annotated[str, Field(min_length=1, max_length=2000)]


class NewEvidence(BaseModel):
    """The body."""

    taskId: Annotated[int, Field(ge=1)]
    type: Literal["text_log"]
    data: Text


class Given(BaseModel):
    """What evidence did."""

    task: Task
    evidence: dict[str, Any]
    streakUpdated: bool
    newStreak: int


class GivenAnswer(BaseModel):
    """With the envelope."""

    success: bool = True
    data: Given


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=10, max_size=10)
    app.state.redis = Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
    yield
    await app.state.pool.close()


app = FastAPI(lifespan=lifespan)
app.mount("/metrics", make_asgi_app())


@app.middleware("http")
async def told(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    began = time.perf_counter()
    response = await call_next(request)
    seconds = time.perf_counter() - began
    route = getattr(request.scope.get("route"), "path", "")
    DURATION.labels(request.method, route, str(response.status_code)).observe(seconds)
    line = {"method": request.method, "url": request.url.path, "status": response.status_code}
    log.info(json.dumps({**line, "seconds": seconds}))
    return response


async def person(request: Request, authorization: Annotated[str, Header()]) -> int:
    try:
        user = s.user_of(authorization)
    except (jwt.PyJWTError, KeyError, ValueError):
        raise HTTPException(401) from None
    state = request.app.state
    if not await s.allowed(state.redis, user):
        raise HTTPException(429)
    key = f"peer:account:{user}"
    found = await state.redis.get(key)
    if found is None:
        row = await state.pool.fetchrow(s.QUERIES["account"]["sql"], user)
        if row is None:
            raise HTTPException(401)
        found = json.dumps(dict(row))
        await state.redis.set(key, found, ex=60)
    if not json.loads(found)["is_active"]:
        raise HTTPException(403)
    return user


User = Annotated[int, Depends(person)]


async def load(request: Request, user: int, limit: int) -> str:
    query, given = s.QUERIES["today"], s.day_parameters(user, limit)
    values = [given[name] for name in query["names"]]
    return str(await request.app.state.pool.fetchval(query["sql"], *values))


@app.get("/ready")
async def ready() -> dict[str, bool]:
    return {"ready": True}


@app.get("/v1/tasks/today")
async def today(request: Request, user: User, limit: int = 50) -> TodayAnswer:
    if limit != 50:
        return TodayAnswer(data=Today.model_validate_json(await load(request, user, limit)))
    redis = request.app.state.redis
    found = await redis.get(s.day_key(user))
    if found is None:
        found = await load(request, user, 50)
        await redis.set(s.day_key(user), found, ex=60)
    return TodayAnswer(data=Today.model_validate_json(found))


@app.post("/v1/evidence", status_code=201)
async def evidence(request: Request, user: User, body: NewEvidence) -> GivenAnswer:
    given = s.evidence_parameters(user, body.taskId, body.type, body.data.model_dump())
    text = None
    async with request.app.state.pool.acquire() as connection, connection.transaction():
        for query in s.QUERIES["evidence"]:
            text = await connection.fetchval(query["sql"], *(given[n] for n in query["names"]))
    if text is None:
        raise HTTPException(404)
    await request.app.state.redis.delete(s.day_key(user))
    return GivenAnswer(data=Given.model_validate_json(text))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), access_log=False)
