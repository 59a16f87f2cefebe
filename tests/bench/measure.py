"""One run of wrk against one program, and what it cost whom."""

from __future__ import annotations

import http.client
import json
import subprocess
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil

from tests.bench.world import World, processes

WORK: Final = {
    "cached": "Today, cached",
    "postgres": "Today, from PostgreSQL",
    "evidence": "Evidence, a write",
    "unchanged": "Today, 304 by ETag",
}
_LUA: Final = Path(__file__).parent / "load.lua"


class Run(NamedTuple):
    """Figures of one run; CPU is in microseconds a request."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_server: float
    cpu_postgres: float
    cpu_redis: float
    memory_mb: float


def write_people(world: World, path: Path, etags: dict[int, str]) -> None:
    """The file that wrk reads; tokens live for a quarter of an hour."""
    lines = [
        f"{token} {world.first_task[user]} {etags.get(user, '')}"
        for user, token in world.tokens().items()
    ]
    path.write_text("\n".join(lines) + "\n")


def run(
    world: World, pids: list[int], port: int, work: str, people: Path, seconds: int, users: int = 32
) -> Run:
    """Warm up for a moment, then measure. Anything but success is a failure of the whole."""
    if work != "evidence":
        _wrk(port, work, people, 1, users)
    before = _cpu(world, pids)
    result = _wrk(port, work, people, seconds, users)
    after = _cpu(world, pids)
    assert result["bad"] == 0, f"{work} on port {port}: {result}"
    number = result["requests"]
    server, postgres, redis = (
        (late - early) / number * 1e6 for late, early in zip(after, before, strict=True)
    )
    memory = max(psutil.Process(pid).memory_info().rss for pid in pids) / 2**20
    rate = number / (result["us"] / 1e6)
    return Run(
        rate, result["p50_us"] / 1e3, result["p99_us"] / 1e3, server, postgres, redis, memory
    )


def answers(port: int, token: str, task: int) -> dict[str, Any]:
    """What a program answers to each kind of request; wrk itself looks at the status alone."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    found = {}
    for work, method, path, body, status in (
        ("cached, first", "GET", "/v1/tasks/today", None, 200),
        ("cached", "GET", "/v1/tasks/today", None, 200),
        ("postgres", "GET", "/v1/tasks/today?limit=49", None, 200),
        ("evidence", "POST", "/v1/evidence", _proof(task), 201),
        ("cached, after", "GET", "/v1/tasks/today", None, 200),
        ("without a token", "GET", "/v1/tasks/today", None, None),
    ):
        given = headers if status else {}
        connection.request(method, path, body, given)
        answer = connection.getresponse()
        text = answer.read()
        if status is None:
            assert answer.status in (401, 422), answer.status
            continue
        assert answer.status == status, (work, answer.status, text[:300])
        found[work] = _timeless(json.loads(text))
    connection.close()
    return found


def etags(port: int, tokens: dict[int, str]) -> dict[int, str]:
    """Of everybody's day, as a client keeps it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    found = {}
    for user, token in tokens.items():
        connection.request("GET", "/v1/tasks/today", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        answer.read()
        found[user] = answer.headers["ETag"]
        connection.request(
            "GET",
            "/v1/tasks/today",
            headers={"Authorization": f"Bearer {token}", "If-None-Match": found[user]},
        )
        again = connection.getresponse()
        again.read()
        assert again.status == 304, again.status
    connection.close()
    return found


def _proof(task: int) -> str:
    return json.dumps({"taskId": task, "type": "text_log", "data": {"text": "Done as planned."}})


def _timeless(value: Any) -> Any:
    """Without what differs from run to run: moments, and ids of evidence."""
    if isinstance(value, dict):
        kept = {name: _timeless(item) for name, item in value.items()}
        for name in ("createdAt", "updatedAt", "completedAt"):
            if kept.get(name) is not None and name in kept:
                kept[name] = "a moment"
        if "taskId" in kept:
            kept["id"] = "an id"
        return kept
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def _wrk(port: int, work: str, people: Path, seconds: int, users: int) -> Any:
    command = ["wrk", "-t1", f"-c{users}", f"-d{seconds}s", "-s", str(_LUA)]
    command += [f"http://127.0.0.1:{port}", "--", str(people), work]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return json.loads(line.removeprefix("RESULT "))


def _cpu(world: World, pids: list[int]) -> list[float]:
    servers = (world.postgres.pid, world.redis.pid)
    return [sum(_seconds(pid) for pid in pids), *(_seconds(pid) for pid in servers)]


def _seconds(root: int) -> float:
    """CPU time of a process, those below it, and those of them that have ended."""
    total = 0.0
    for process in processes(root):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
        if process.pid == root:
            total += times.children_user + times.children_system
    return total
