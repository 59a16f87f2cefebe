"""A small server on the loopback that takes messages as Twilio's API does, or refuses them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest, ResponseStartLine
from tornado.netutil import bind_sockets

ACCOUNT, TOKEN = "AC0123456789abcdef0123456789abcdef", "f3Kq8Wn2Lx7Rt5"
PATH = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"

Form = dict[str, str]


@dataclass
class TwilioServer:
    """What was asked, and what is answered: a status and an error code, by recipient."""

    url: str = ""
    forms: list[Form] = field(default_factory=list)
    refusals: dict[str, tuple[int, int]] = field(default_factory=dict)
    # Called with each form before it is answered.
    before: Callable[[Form], None] = lambda _: None
    # Numbers whose message is taken, and the connection closed without an answer.
    silent_for: set[str] = field(default_factory=set)

    @property
    def phones(self) -> list[str]:
        """Who was sent a message, in order."""
        return sorted(form["To"] for form in self.forms)

    def answer(self, request: HTTPServerRequest) -> tuple[int, object] | None:
        """None for no answer at all."""
        login = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        if (request.method, request.path) != ("POST", PATH):
            return 404, {"code": 20404}
        if request.headers.get("Authorization") != f"Basic {login}":
            return 401, {"code": 20003}
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        form = dict(parse_qsl(request.body.decode(), strict_parsing=True))
        self.before(form)
        if form["To"] in self.refusals:
            status, code = self.refusals[form["To"]]
            return status, {"code": code, "message": f"quotes {form['To']}", "status": status}
        self.forms.append(form)
        if form["To"] in self.silent_for:
            return None
        return 201, {"sid": "SM1", "status": "queued"}


@asynccontextmanager
async def twilio_server() -> AsyncIterator[TwilioServer]:
    """Serving."""
    server = TwilioServer()

    def handle(request: HTTPServerRequest) -> None:
        answer = server.answer(request)
        connection = request.connection
        assert connection is not None
        if answer is None:
            connection.stream.close()  # type: ignore[attr-defined]  # HTTP1Connection has it
            return
        body = json.dumps(answer[1]).encode()
        headers = type(request.headers)({"Content-Length": str(len(body))})
        connection.write_headers(ResponseStartLine("HTTP/1.1", answer[0], ""), headers, body)
        connection.finish()

    http = HTTPServer(handle)
    sockets = bind_sockets(0, "127.0.0.1")
    http.add_sockets(sockets)
    server.url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        http.stop()
        await http.close_all_connections()
        await asyncio.sleep(0)
