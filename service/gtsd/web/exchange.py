"""One request on a connection: read within bounds, answered once, logged and counted once."""

from __future__ import annotations

import asyncio
import time
from http.client import responses
from typing import TYPE_CHECKING, Final

from tornado import httputil

from gtsd import deadline
from gtsd.errors import (
    ApiError,
    BadRequest,
    DeadlineExceeded,
    InternalError,
    Overloaded,
    PayloadTooLarge,
)
from gtsd.telemetry import log, tracing
from gtsd.telemetry.metrics import UNMATCHED
from gtsd.web import headers
from gtsd.web.answers import Answer, refusal
from gtsd.web.call import Call, Request
from gtsd.web.routes import Match, Policy, origin_form

if TYPE_CHECKING:
    from gtsd.web.server import Api

# What is read and thrown away of a body that is too large, so that the client, still sending, gets
# to read the refusal instead of a reset connection.
_LINGER_BYTES: Final = 8 * 1024 * 1024
_UNBOUNDED: Final = 2**62


class Exchange(httputil.HTTPMessageDelegate):
    """Tornado calls these methods as a request comes in; the answer goes out through ``conn``."""

    def __init__(self, api: Api, conn: httputil.HTTPConnection, peer: str) -> None:
        self._api = api
        self._conn = conn
        self._peer = peer
        self._chunks: list[bytes] = []
        self._size = 0
        self._match: Match | None = None
        # Decided by the headers alone; given once the body has been read.
        self._outcome: Answer | ApiError | None = None
        self._answered = False
        self._lingering = False

    @property
    def route(self) -> str:
        """Method and template of the route, as they may be shown anywhere."""
        if self._match is None:
            return UNMATCHED
        return f"{self._match.route.method} {self._match.route.template}"

    def headers_received(
        self,
        start_line: httputil.RequestStartLine | httputil.ResponseStartLine,
        headers_: httputil.HTTPHeaders,
    ) -> None:
        """Find the route, and refuse what will be too large before any of it is read."""
        assert isinstance(start_line, httputil.RequestStartLine)
        self._started = time.perf_counter()
        path, _, query = origin_form(start_line.path).partition("?")
        self.request = Request(
            id=headers.request_id(headers_.get("X-Request-ID")),
            method=start_line.method,
            path=path,
            query=query,
            headers=headers_,
            address=headers.client_address(
                self._peer, headers_.get("X-Forwarded-For"), self._api.trusted_proxies
            ),
        )
        self._api.exchange_began(self)
        try:
            _check_host(start_line.version, headers_)
            self._outcome = self._api.options(self.request)
            if self._outcome is None:
                self._match = self._api.match(start_line.method, path)
        except ApiError as error:
            self._outcome = error
        # Tornado would close the connection without a word; the refusal is ours to word.
        self._conn.set_max_body_size(_UNBOUNDED)  # type: ignore[attr-defined]  # HTTP1Connection
        length = headers_.get("Content-Length", "0")
        if length.isascii() and length.isdigit() and int(length[:15]) > self._api.max_body:
            self._refuse_size(waits="Expect" in headers_)

    def data_received(self, chunk: bytes) -> None:
        """Keep what comes, up to the limit."""
        self._size += len(chunk)
        if self._answered:
            if self._size > _LINGER_BYTES and self._lingering:
                self._lingering = False
                self._conn.finish()
        elif self._size > self._api.max_body:
            self._refuse_size(waits=False)
        else:
            self._chunks.append(chunk)

    def finish(self) -> None:
        """The request is complete: answer it."""
        if self._answered:
            if self._lingering:
                self._conn.finish()
            return
        self.request.body = b"".join(self._chunks)
        self._chunks.clear()
        if self._outcome is not None:
            self._refuse(self._outcome)
        elif self._match is not None and self._match.route.policy is Policy.OPS:
            self._api.spawn(self._run(self._match))
        elif self._match is not None and self._api.take_room():
            self._api.spawn(self._run_counted(self._match))
        else:
            self._refuse(Overloaded())

    def on_connection_close(self) -> None:
        """The client went away before its request was complete: there is nothing to answer."""
        self._chunks.clear()
        self._api.exchange_ended(self)

    def _refuse_size(self, *, waits: bool) -> None:
        limit = self._api.max_body
        error = PayloadTooLarge(f"The body may have {limit} bytes.")
        # A client that waits for 100 Continue has sent nothing, and gets no leave to.
        self._lingering = not waits
        self._refuse(error, close=True)

    def _refuse(self, outcome: Answer | ApiError, *, close: bool = False) -> None:
        """Answer without a handler."""
        with self._span() as span:
            self._end(outcome, span=span, close=close)

    def _span(self) -> tracing.ServerSpan:
        request = self.request
        return tracing.server_span(request.headers, request.method, request.path)

    async def _run_counted(self, match: Match) -> None:
        try:
            await self._run(match)
        finally:
            self._api.give_room_back()

    async def _run(self, match: Match) -> None:
        call = Call(self._api.deps, self.request, match.route, match.params)
        bound = self._api.deps.settings.request_deadline
        log.set_request_id(self.request.id)
        with self._span() as span:
            outcome: Answer | BaseException
            try:
                # The store's own deadline comes first, so that the server cancels what it runs.
                with deadline.within(bound):
                    async with asyncio.timeout(bound + 0.25):
                        outcome = await self._api.pipeline.answer(call)
            except (TimeoutError, asyncio.CancelledError):
                # Cancelled is only what the end of a drain finds still in work.
                outcome = DeadlineExceeded()
            except Exception as error:  # noqa: BLE001 - the one boundary: answered and logged
                outcome = error
            self._end(outcome, call=call, span=span)

    def _end(
        self,
        outcome: Answer | BaseException,
        *,
        span: tracing.ServerSpan,
        call: Call | None = None,
        close: bool = False,
    ) -> None:
        answer, error = self._settle(outcome)
        self._write(answer, call, close)
        self._tell(answer.status, call, span, error)

    def _settle(self, outcome: Answer | BaseException) -> tuple[Answer, BaseException | None]:
        if isinstance(outcome, Answer):
            return outcome, None
        told = outcome if isinstance(outcome, ApiError) else InternalError()
        return refusal(told, self.request.id), outcome

    def _write(self, answer: Answer, call: Call | None, close: bool) -> None:
        standing = self._api.standing_headers(self.request.headers.get("Origin"))
        out = headers.Fields(call.headers if call is not None else ())
        out.update(answer.headers)
        if out.keys().isdisjoint(standing.fields):
            self._conn.stream.stand(standing.lines)  # type: ignore[attr-defined]  # see wire.py
        else:
            out = headers.Fields({**standing.fields, **out})
        out["X-Request-ID"] = self.request.id
        if answer.status not in (204, 304):
            out["Content-Type"] = answer.content_type
            out["Content-Length"] = str(len(answer.body))
        if close or answer.closes or self._api.draining:
            # Tornado closes and says so; it has decided when the headers came in, and not for us.
            self._conn._disconnect_on_finish = True  # type: ignore[attr-defined]  # noqa: SLF001
        self._answered = True
        reason = responses.get(answer.status, "Unknown")
        start = httputil.ResponseStartLine("HTTP/1.1", answer.status, reason)
        body = b"" if self.request.method == "HEAD" else answer.body
        self._conn.write_headers(start, out, body)  # type: ignore[arg-type]  # as good as Tornado's
        if not self._lingering:
            self._conn.finish()

    def _tell(
        self,
        status: int,
        call: Call | None,
        span: tracing.ServerSpan,
        error: BaseException | None,
    ) -> None:
        """The one place where a request becomes a metric, a span and a log line."""
        seconds = time.perf_counter() - self._started
        route = self._match.route.template if self._match is not None else UNMATCHED
        recorded = span.recorded
        ids = span.end(route, status, error)
        trace_id, span_id = ids or (None, None)
        # An exemplar leads to a trace that can be looked at.
        self._api.deps.metrics.observe_request(
            self.request.method, route, status, seconds, trace_id if recorded else None
        )
        log.request(
            log.RequestRecord(
                id=self.request.id,
                method=self.request.method,
                url=self.request.path,
                query=_names(self.request.query),
                route=route,
                status=status,
                duration_s=seconds,
                user_id=str(call.account.id) if call is not None and call.account else None,
                trace_id=trace_id,
                span_id=span_id,
                error=error,
            )
        )
        self._api.exchange_ended(self)


def _check_host(version: str, headers_: httputil.HTTPHeaders) -> None:
    """RFC 9112 §3.2: proxies on the way may have taken one of two for the right one."""
    if version == "HTTP/1.1" and len(headers_.get_list("Host")) != 1:
        raise BadRequest("Send one Host header.", code="malformed_request")


def _names(query: str) -> tuple[str, ...]:
    """The names of the parameters, never their values: those may be secrets."""
    if not query:
        return ()
    return tuple(pair.partition("=")[0][:64] for pair in query.split("&", 20)[:20])
