"""``gtsd smoke``: a person's first minute with the API, on a running one: a gate for releases.

It opens an account, uses it and deletes it. Against an instance that serves nobody yet it proves a
release before anybody meets it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import statistics
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TextIO

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse

_PATIENCE_S: Final = 10.0
_BETWEEN_S: Final = 0.05
# Addresses below this domain reach nobody (RFC 2606).
_DOMAIN: Final = "smoke.invalid"


class SmokeError(Exception):
    """What the API did wrong, in one sentence."""


@dataclass
class Smoke:
    """One person at one API; ``seconds`` are the durations of all calls."""

    url: str
    seconds: list[float] = field(default_factory=list)
    token: str = ""
    # An instance behind no proxy believes this host; behind one it is overwritten. All hosts of a
    # release would else be one address, which may not open many accounts a minute.
    address: str = field(default_factory=lambda: f"198.51.100.{secrets.randbelow(254) + 1}")

    async def call(
        self, method: str, path: str, body: object = None, want: int = 200, **headers: str
    ) -> Any:
        """The answer's JSON; raises SmokeError for another status, no answer, or no JSON."""
        sent = {"X-Forwarded-For": self.address, **headers}
        if body is not None:
            sent["Content-Type"] = "application/json"
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        request = HTTPRequest(
            f"{self.url}{path}",
            method,
            sent,
            json.dumps(body) if body is not None else None,
            request_timeout=_PATIENCE_S,
            allow_nonstandard_methods=True,
        )
        began = time.monotonic()
        try:
            answer = await AsyncHTTPClient().fetch(request, raise_error=False)
        except OSError as error:
            raise SmokeError(f"{method} {path}: no answer ({error})") from error
        self.seconds.append(time.monotonic() - began)
        return _judged(answer, f"{method} {path}", want)

    async def live(self, lasting: float, version: str | None) -> None:
        """Sign up, start, do a task, look around for so many seconds, leave; raises SmokeError."""
        health = await self.call("GET", "/health")
        if version is not None and health["version"] != version:
            raise SmokeError(f"GET /health: version {health['version']} answers, not {version}")
        await self.call("GET", "/ready")
        password = f"Smoke-1-{secrets.token_urlsafe(24)}"
        whom = {"email": f"{secrets.token_hex(8)}@{_DOMAIN}", "name": "Smoke", "password": password}
        self.token = (await self.call("POST", "/auth/signup", whom, 201))["data"]["accessToken"]
        try:
            await self._use(time.monotonic() + lasting)
        finally:
            await self.call("DELETE", "/auth/me", {"password": password}, 202)

    async def _use(self, until: float) -> None:
        await self.call("POST", "/v1/onboarding", _onboarding(), 201)
        await self.call("POST", "/v1/plans/generate", {}, 201)
        await self._do_a_task()
        while True:
            for path in ("/v1/tasks/today", "/v1/streaks/me", "/v1/profile", "/v1/badges/me"):
                await self.call("GET", path)
                await asyncio.sleep(_BETWEEN_S)
            if time.monotonic() > until:
                break

    async def _do_a_task(self) -> None:
        """A write is done once for one key, and what is read afterwards knows of it."""
        task = (await self.call("POST", "/v1/tasks", {"title": "Smoke"}, 201))["data"]
        done = {"taskId": task["id"], "type": "text_log", "data": {"text": "done"}}
        key = {"Idempotency-Key": secrets.token_hex(16)}
        first = await self.call("POST", "/v1/evidence", done, 201, **key)
        again = await self.call("POST", "/v1/evidence", done, 201, **key)
        if first["data"]["evidence"]["id"] != again["data"]["evidence"]["id"]:
            raise SmokeError("POST /v1/evidence: a second answer for one Idempotency-Key")
        shown = await self.call("GET", f"/v1/tasks/{task['id']}")
        if shown["data"]["status"] != "completed":
            raise SmokeError(f"GET /v1/tasks/…: {shown['data']['status']}, not completed")


def _judged(answer: HTTPResponse, what: str, want: int) -> Any:
    if answer.code != want:
        said = answer.body.decode(errors="replace")[:200] if answer.body else str(answer.error)
        raise SmokeError(f"{what}: {answer.code} instead of {want}: {said}")
    try:
        return json.loads(answer.body)
    except ValueError:
        raise SmokeError(f"{what}: {answer.code}, but no JSON") from None


def _quick(seconds: list[float], slowest: float) -> float:
    """Their median; raises SmokeError where it is above the bound."""
    middle = statistics.median(seconds)
    if middle > slowest:
        raise SmokeError(f"half of the calls took more than {middle:.2f} s")
    return middle


def _onboarding() -> dict[str, object]:
    return {
        "dateOfBirth": "1990-05-17",
        "gender": "female",
        "primaryGoal": "maintain",
        "currentWeight": 70,
        "targetWeight": 70,
        "height": 170,
        "targetDate": str(datetime.now(UTC).date() + timedelta(days=90)),
        "activityLevel": "lightly_active",
    }


def register(commands: Any) -> None:
    """Add the command with its options to the program's."""
    help_ = "try a running API as a new person would; leaves nothing behind"
    own = commands.add_parser("smoke", help=help_, description=help_)
    own.add_argument("--url", required=True, help="for example http://127.0.0.1:3001")
    own.add_argument("--version", metavar="V", help="the version that must answer")
    own.add_argument("--seconds", type=float, default=0.0, help="how long to go on (default: once)")
    own.add_argument(
        "--slowest",
        type=float,
        default=1.0,
        metavar="S",
        help="median of the calls that is still good, in seconds (default: 1)",
    )


def main(options: argparse.Namespace, out: TextIO) -> int:
    """Try it; the exit status is 1 where anything was wrong."""
    person = Smoke(options.url.rstrip("/"))
    try:
        asyncio.run(person.live(options.seconds, options.version))
        middle = _quick(person.seconds, options.slowest)
    except SmokeError as error:
        out.write(f"{options.url}: {error}. {len(person.seconds)} calls were answered.\n")
        return 1
    out.write(
        f"{options.url}: {len(person.seconds)} calls, all good, half within {middle * 1000:.0f} ms,"
        f" the slowest {max(person.seconds) * 1000:.0f} ms\n"
    )
    return 0
