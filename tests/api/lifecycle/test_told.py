"""What a whole run tells of itself, in its log and in its spans, and what it never tells."""

from __future__ import annotations

import json
import secrets
import socket
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from gtsd.dev.redis import EmbeddedRedis
from tests.api.telemetry.receiver import Receiver
from tests.support.environments import JWT_SECRET
from tests.support.process import Answer, Served, environment, serving

TRACE = "0af7651916cd43dd8448eb211c80319c"
# In a path nothing marks it as a secret, so it is told: the control of the search.
VISIBLE = "visible-canary"
PASSWORD, NEW_PASSWORD = "Canary-horse-7", "Canary-donkey-8"


@dataclass
class Run:
    """One run of the service from its start to its end."""

    pid: int
    user_id: int = 0
    lines: list[dict[str, Any]] = field(default_factory=list)
    written: str = ""
    spans: str = ""
    planted: list[str] = field(default_factory=list)

    def line(self, request_id: str) -> dict[str, Any]:
        """The one line of a request."""
        (line,) = [line for line in self.lines if "res" in line and line["req"]["id"] == request_id]
        return line


@pytest.fixture(scope="module")
def run(shared_database_url: str, redis_server: EmbeddedRedis) -> Run:
    """With all that it can say: each level of the log, and a collector for its spans."""
    with Receiver() as receiver:
        environ = environment(
            shared_database_url,
            REDIS_URL=redis_server.url,
            LOG_LEVEL="trace",
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint,
        )
        with serving(environ) as served:
            run = Run(served.process.pid)
            run.planted.append(JWT_SECRET)
            for url in (shared_database_url, redis_server.url):
                run.planted.append(urlsplit(url).password or "")
            _live(served, run)
            served.signal()
            assert served.ended() == 0
        run.lines, run.written = served.lines, served.written
    run.spans = repr(receiver.spans) + b"".join(receiver.bodies).decode("latin1")
    assert len(receiver.spans) > 50
    return run


def _live(served: Served, run: Run) -> None:
    """A person's life with the API, and what clients get wrong."""
    email = f"canary.{secrets.token_hex(4)}@mail.example.com"
    name = "Canary McName"
    phone = "+4915112345678"
    account = {"email": email, "password": PASSWORD}
    run.planted += [email, quote(email), email.partition("@")[0], name, phone, PASSWORD]

    def ask(method: str, path: str, body: Any = None, token: str = "") -> Answer:
        return served.call(method, path, body, token)

    opened = ask("POST", "/auth/signup", {**account, "name": name, "phone": phone})
    first = opened.json["data"]
    run.user_id = first["user"]["id"]
    assert ask("POST", "/auth/signup", {**account, "name": name}).status == 409
    logged_in = ask("POST", "/auth/login", account).json["data"]
    assert ask("POST", "/auth/login", {**account, "password": NEW_PASSWORD}).status == 401
    refreshed = ask("POST", "/auth/refresh", {"refreshToken": logged_in["refreshToken"]})
    tokens = [first, logged_in, refreshed.json["data"]]
    for pair in tokens:
        run.planted += [pair["refreshToken"], pair["accessToken"]]
        # The header of a token is the same for all and no secret; what follows is.
        run.planted += pair["accessToken"].split(".")[1:]
    token = first["accessToken"]

    _change_account(ask, run, email, token)
    _use_tasks(ask, run, token)
    _ask_wrongly(ask, run, token)
    _break_http(served, run)
    ask("GET", f"/nowhere/{VISIBLE}")
    request = b"GET /auth/me HTTP/1.1\r\nHost: x\r\nX-Request-ID: line-1\r\nConnection: close\r\n"
    request += f"traceparent: 00-{TRACE}-b7ad6b7169203331-01\r\n".encode()
    answer = _raw(served, request + f"Authorization: Bearer {token}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200")


def _change_account(ask: Any, run: Run, email: str, token: str) -> None:
    new_email = f"other.{email}"
    reset = secrets.token_urlsafe(32)
    changed = {"email": new_email, "name": "Canary Newname", "timezone": "Europe/Berlin"}
    assert ask("PATCH", "/auth/me", changed, token).status == 200
    passwords = {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD}
    assert ask("PATCH", "/auth/change-password", passwords, token).status == 200
    assert ask("POST", "/auth/forgot-password", {"email": new_email}).status == 200
    body = {"token": reset, "newPassword": "Canary-mule-9"}
    assert ask("POST", "/auth/reset-password", body).status == 400
    assert ask("POST", "/auth/verify-email", {"token": f"{reset}v"}).status == 400
    run.planted += [new_email, "Canary Newname", NEW_PASSWORD, reset, "Canary-mule-9"]


def _use_tasks(ask: Any, run: Run, token: str) -> None:
    new = {"title": "Canary title", "description": "canary description", "metadata": {"canary": 1}}
    task = ask("POST", "/v1/tasks", new, token).json["data"]["id"]
    proof = {"taskId": task, "type": "text_log", "data": {"text": "canary proof"}, "notes": "hush"}
    assert ask("POST", "/v1/evidence", proof, token).status == 201
    assert ask("POST", f"/v1/tasks/{task}/uncomplete", {}, token).status == 200
    assert ask("POST", f"/v1/tasks/{task}/skip", {"reason": "canary reason"}, token).status == 200
    assert ask("GET", "/v1/tasks/today", None, token).status == 200
    run.planted += ["Canary title", "canary description", "canary proof", "canary reason"]


def _ask_wrongly(ask: Any, run: Run, token: str) -> None:
    ask("POST", "/auth/login", b'{"email": "broken.canary@example.com", "password": "Broken-ca')
    ask("POST", "/auth/login", {"canaryField": "canaryValue", "password": 7})
    ask("POST", "/v1/tasks", {"title": "canaryTitle", "dueDate": "canaryDay"}, token)
    ask("GET", f"/v1/tasks/today?token={token}&note=canaryQuery&date=canaryDate", None, token)
    ask("GET", "/nowhere?password=canaryPassword#canaryFragment")
    ask("GET", "/auth/me", None, "eyJhbGciOiJub25lIn0.canaryToken.")
    ask("POST", "/auth/logout", {"refreshToken": "canaryRefresh"})
    run.planted += ["broken.canary@example.com", "Broken-ca", "canaryValue", "canaryTitle"]
    run.planted += ["canaryDay", "canaryQuery", "canaryDate", "canaryPassword", "canaryFragment"]
    run.planted += ["canaryToken", "canaryRefresh"]


def _break_http(served: Served, run: Run) -> None:
    """A header with a control character, and a body that is longer than its length says."""
    broken = b"GET /healthz HTTP/1.1\r\nHost: x\r\nCookie: session=canaryCookie\x01\r\n\r\n"
    assert _raw(served, broken).startswith(b"HTTP/1.1 400")
    longer = b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    longer += b"canary rest\r\ncanary secret of a body: goes here\r\n\r\n"
    assert b"HTTP/1.1 400 Bad Request" in _raw(served, longer)
    run.planted += ["canaryCookie", "canary rest", "canary secret", "goes here"]


def _raw(served: Served, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def test_nothing_that_is_secret_or_personal_is_in_the_log(run: Run) -> None:
    """Not on standard error either, at the level that says most (fault 4)."""
    assert len(run.planted) > 40
    assert [word for word in run.planted if word in run.written] == []
    escaped = [json.dumps(word)[1:-1] for word in run.planted]
    assert [word for word in escaped if word in run.written] == []


def test_nothing_that_is_secret_or_personal_is_in_a_span(run: Run) -> None:
    """Decoded, and in the bytes as the collector got them."""
    assert [word for word in run.planted if word in run.spans] == []


def test_the_search_finds_what_is_there(run: Run) -> None:
    """The control: a word in a path that looks like any other is in both."""
    assert VISIBLE in run.written
    assert VISIBLE in run.spans


def test_a_request_is_one_line_in_the_shape_that_is_documented(run: Run) -> None:
    """No more fields, no fewer, and the types that log pipelines were made for."""
    line = run.line("line-1")
    assert abs(line.pop("time") / 1000 - time.time()) < 60
    assert 0 < line.pop("responseTime") < 10_000
    assert len(line.pop("span_id")) == 16
    assert line == {
        "level": 30,
        "pid": run.pid,
        "hostname": socket.gethostname(),
        "req": {"id": "line-1", "method": "GET", "url": "/auth/me"},
        "res": {"statusCode": 200},
        "msg": "request completed",
        "trace_id": TRACE,
        "user_id": str(run.user_id),
        "route": "/auth/me",
    }


def test_each_request_has_a_line_with_its_template_and_every_line_a_level(run: Run) -> None:
    """Ids stay out of the route; probes are quieter than the rest; nothing is on two lines."""
    lines = [line for line in run.lines if "res" in line]
    ids = [line["req"]["id"] for line in lines]
    assert len(set(ids)) == len(ids)
    routes = {line["route"] for line in lines}
    assert {"/v1/tasks/{id}/skip", "/auth/signup", "unmatched"} <= routes
    assert not [route for route in routes if any(character.isdigit() for character in route[3:])]
    levels = {line["level"] for line in lines if line["route"] in ("/ready", "/healthz")}
    assert levels == {20}
    assert all(line["level"] in (10, 20, 30, 40, 50, 60) for line in run.lines)
    malformed = [line for line in lines if line["req"]["url"] == "-"]
    assert [line["err"]["code"] for line in malformed] == ["malformed_request"] * 2
