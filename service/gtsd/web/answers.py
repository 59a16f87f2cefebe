"""What a handler returns, and the one place where an error becomes JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import msgspec

from gtsd.errors import ApiError

JSON: Final = "application/json; charset=utf-8"
_ENCODER: Final = msgspec.json.Encoder()
_HEAD: Final = b'{"success":true,"data":'


@dataclass(slots=True)
class Answer:
    """A finished answer: ``body`` is sent as it is, and the connection ``closes`` after it."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON
    closes: bool = False


def success(data: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """The envelope around JSON that is already encoded (PostgreSQL does that)."""
    return Answer(status, b"%b%b}" % (_HEAD, data), headers or {})


def encode(value: object) -> bytes:
    """JSON of msgspec types and plain values."""
    return _ENCODER.encode(value)


class ErrorDetail(msgspec.Struct, rename="camel", omit_defaults=True):
    """What went wrong; ``fields`` maps the path of a field to what is wrong with it."""

    code: str
    message: str
    request_id: str
    fields: dict[str, str] | None = None


class ErrorBody(msgspec.Struct):
    """The one shape of every error."""

    success: bool
    error: ErrorDetail


def refusal(error: ApiError, request_id: str) -> Answer:
    """The answer to a request that failed."""
    fields = dict(error.fields) if error.fields else None
    detail = ErrorDetail(error.code, error.message, request_id, fields)
    headers = dict(error.headers)
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="gtsd"'
    return Answer(error.status, encode(ErrorBody(success=False, error=detail)), headers)
