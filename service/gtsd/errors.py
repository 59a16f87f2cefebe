"""Every error that a client can be told of.

::

    ApiError
    ├── BadRequest 400            invalid_json, invalid_fields, invalid_token …
    ├── Unauthenticated 401       unauthenticated, invalid_credentials, invalid_refresh_token
    ├── Forbidden 403             account_deactivated …
    ├── NotFound 404              not_found
    ├── MethodNotAllowed 405      method_not_allowed
    ├── Conflict 409              email_taken, still_running …
    ├── PayloadTooLarge 413       payload_too_large
    ├── UnsupportedMediaType 415  unsupported_media_type
    ├── IdempotencyMismatch 422   idempotency_key_reused
    ├── TooManyRequests 429       rate_limited, too_many_failures
    ├── InternalError 500         internal_error
    └── Unavailable 503
        ├── Overloaded            overloaded
        ├── DependencyUnavailable dependency_unavailable
        └── DeadlineExceeded      deadline_exceeded

``web/answers.py`` turns them into JSON, in one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class ApiError(Exception):
    """An answer other than success; ``fields`` maps a JSON path to what is wrong there."""

    status: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal_error"
    default_message: ClassVar[str] = "Something went wrong on our side. Quote the request id."
    # What a client should wait before it tries again, in seconds; None sends no Retry-After.
    default_retry_after: ClassVar[int | None] = None

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str | None = None,
        fields: Mapping[str, str] | None = None,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.message = message or self.default_message
        self.code = code or self.default_code
        self.fields = fields
        self.retry_after = self.default_retry_after if retry_after is None else retry_after
        self.headers = headers or {}
        super().__init__(f"{self.code}: {self.message}")


class BadRequest(ApiError):
    """The request cannot be understood or breaks a rule."""

    status = 400
    default_code = "bad_request"
    default_message = "The request is not valid."


class Unauthenticated(ApiError):
    """No token, or one that is not accepted."""

    status = 401
    default_code = "unauthenticated"
    default_message = "Send a valid access token: Authorization: Bearer <token>."


class Forbidden(ApiError):
    """Known, but not allowed."""

    status = 403
    default_code = "forbidden"
    default_message = "This is not allowed."


class NotFound(ApiError):
    """Missing, or somebody else's: the two cannot be told apart."""

    status = 404
    default_code = "not_found"
    default_message = "There is nothing here."


class MethodNotAllowed(ApiError):
    """The path exists, the method does not."""

    status = 405
    default_code = "method_not_allowed"
    default_message = "This path does not take that method."


class Conflict(ApiError):
    """The state of things forbids it."""

    status = 409
    default_code = "conflict"
    default_message = "This conflicts with what is already there."


class PayloadTooLarge(ApiError):
    """The body is over the limit."""

    status = 413
    default_code = "payload_too_large"
    default_message = "The body is too large."


class UnsupportedMediaType(ApiError):
    """The body is of another type than the route takes."""

    status = 415
    default_code = "unsupported_media_type"
    default_message = "Send the body as Content-Type: application/json, in UTF-8."


class IdempotencyMismatch(ApiError):
    """The key was used before, for another request."""

    status = 422
    default_code = "idempotency_key_reused"
    default_message = "This Idempotency-Key was used with another request. Use a new key."


class TooManyRequests(ApiError):
    """A limit was reached."""

    status = 429
    default_code = "rate_limited"
    default_message = "Too many requests. Wait for the time in Retry-After."


class InternalError(ApiError):
    """A fault of ours; the client learns nothing but the request id."""


class Unavailable(ApiError):
    """Not now; later it may work."""

    status = 503
    default_code = "unavailable"
    default_message = "The service cannot do this now. Try again shortly."
    default_retry_after = 1


class Overloaded(Unavailable):
    """Too many requests are in work."""

    default_code = "overloaded"
    default_message = "Too many requests are in work. Try again shortly."


class DependencyUnavailable(Unavailable):
    """A server that we need is out of reach; ``dependency`` goes to the log, not to the client."""

    default_code = "dependency_unavailable"

    def __init__(self, dependency: str) -> None:
        self.dependency = dependency
        super().__init__()


class DeadlineExceeded(Unavailable):
    """The request took longer than it may."""

    default_code = "deadline_exceeded"
    default_message = "This took too long and was stopped. Try again shortly."
