"""An API client for tests that holds every answer against the OpenAPI document."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.httputil import HTTPHeaders

from gtsd.app import document_text, table
from gtsd.errors import ApiError

PASSWORD = "Correct-horse-7"


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(document_text())
    return document


@cache
def _validator(template: str, method: str, status: str) -> Draft202012Validator | None:
    responses = _document()["paths"][template][method.lower()]["responses"]
    assert status in responses, f"{method} {template} answers {status}, which is not documented"
    content = responses[status].get("content", {})
    schema = content.get("application/json", {}).get("schema")
    if schema is None:
        return None
    return Draft202012Validator({**schema, "components": _document()["components"]})


@dataclass(slots=True)
class Response:
    """What came back."""

    status: int
    headers: HTTPHeaders
    body: bytes

    @property
    def json(self) -> Any:
        """The whole body."""
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        """What is in the envelope of a success."""
        answer = self.json
        assert answer["success"] is True, answer
        return answer["data"]

    @property
    def error(self) -> Any:
        """What is in the envelope of an error."""
        answer = self.json
        assert answer["success"] is False, answer
        return answer["error"]


@dataclass(slots=True)
class Client:
    """Calls one server, with a token once it is signed in."""

    base: str
    token: str | None = None
    refresh_token: str = ""
    user: dict[str, Any] = field(default_factory=dict)
    validates: bool = True

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
        token: str | None = None,
    ) -> Response:
        """One request on a connection of its own; any status is an answer."""
        sent = dict(headers or {})
        content = (
            raw if raw is not None else (json.dumps(body).encode() if body is not None else None)
        )
        if content is not None:
            sent.setdefault("Content-Type", "application/json")
        given = token if token is not None else self.token
        if given:
            sent.setdefault("Authorization", f"Bearer {given}")
        http = AsyncHTTPClient(force_instance=True, defaults={"decompress_response": False})
        try:
            request = HTTPRequest(
                self.base + path,
                method,
                sent,
                content,
                allow_nonstandard_methods=True,
                request_timeout=20,
                follow_redirects=False,
            )
            answer = await http.fetch(request, raise_error=False)
        finally:
            http.close()
        response = Response(answer.code, answer.headers, answer.body or b"")
        if self.validates:
            self._validate(method, path.partition("?")[0], response)
        return response

    def _validate(self, method: str, path: str, response: Response) -> None:
        try:
            template = table().match(method, path).route.template
        except ApiError:
            return
        if method == "HEAD" or response.status == 304:
            return
        validator = _validator(template, method, str(response.status))
        if validator is not None:
            problems = [error.message for error in validator.iter_errors(response.json)]
            assert not problems, (method, path, response.status, problems)

    async def get(self, path: str, **options: Any) -> Response:
        """GET"""
        return await self.call("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Response:
        """POST"""
        return await self.call("POST", path, body, **options)

    async def patch(self, path: str, body: Any = None, **options: Any) -> Response:
        """PATCH"""
        return await self.call("PATCH", path, body, **options)

    async def delete(self, path: str, body: Any = None, **options: Any) -> Response:
        """DELETE"""
        return await self.call("DELETE", path, body, **options)

    def signed_in(self, data: dict[str, Any]) -> Client:
        """A client with the tokens of an answer to sign-up or login."""
        return Client(
            self.base, data["accessToken"], data["refreshToken"], data["user"], self.validates
        )
