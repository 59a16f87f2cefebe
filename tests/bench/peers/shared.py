"""What both Python programs need: the statements, their values, and the keys in Redis."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import jwt

QUERIES = json.loads(Path(os.environ["QUERIES"]).read_text(encoding="utf-8"))
SECRET = os.environ["JWT_SECRET"]


def today() -> date:
    return datetime.now(UTC).date()


def day_key(user: int) -> str:
    return f"peer:today:{user}:{today()}"


def user_of(authorization: str) -> int:
    """Raises jwt.PyJWTError and what else a bad token gives."""
    scheme, _, token = authorization.partition(" ")
    if scheme != "Bearer":
        raise jwt.InvalidTokenError
    claims = jwt.decode(
        token, SECRET, algorithms=["HS256"], audience="gtsd-client", issuer="gtsd-api"
    )
    return int(claims["sub"])


def day_parameters(user: int, limit: int) -> dict[str, Any]:
    day = today()
    return {
        "user_id": user, "day": day, "today": day, "type": None, "limit": limit, "offset": 0,
    }  # fmt: skip


def evidence_parameters(user: int, task: int, kind: str, data: Any) -> dict[str, Any]:
    return {
        "user_id": user,
        "task_id": task,
        "type": kind,
        "data": json.dumps(data),
        "notes": None,
        "today": today(),
        "now": datetime.now(UTC),
        "catalogue": QUERIES["catalogue"],
    }


async def allowed(redis: Any, user: int) -> bool:
    key = f"peer:limit:{user}:{int(time.time() // 60)}"
    async with redis.pipeline(transaction=True) as pipe:
        count, _ = await pipe.incr(key).expire(key, 120).execute()
    return bool(count <= 1_000_000)
