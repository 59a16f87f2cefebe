"""One request and its answer, or a Failure that says what went wrong. Nothing is sent twice."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import httpcore2

from probe.errors import Failure, Reason
from probe.wire import Link, Links, Protocol, Target

# Longer than the API's own deadline for a request; who waits for longer has gone.
PATIENCE_S: Final = 10.0
_AGENT: Final = "gtsd-release-probe"
# A server that takes leave each time has none to give.
_LEAVES: Final = 3
_SIP_BYTES: Final = 16_384


@dataclass(frozen=True)
class Ask:
    """A request. ``drip_s`` is how long its body takes to go out, ``sip_s`` to read the answer."""

    method: str
    path: str
    body: Any = None
    token: str = ""
    key: str = ""
    protocol: Protocol = Protocol.HTTP11
    fresh: bool = False
    drip_s: float = 0.0
    sip_s: float = 0.0


@dataclass(frozen=True)
class Reply:
    """What came back; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The whole body; raises Failure where it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            start = self.body[:60].decode(errors="replace")
            raise Failure(Reason.WRONG_BODY, f"no JSON: {start!r}") from None


@dataclass
class Trip:
    """Over what a request went, as far as it came; whether others had gone over it before."""

    protocol: Protocol
    address: str | None = None
    kept: bool = False

    def over(self, link: Link) -> None:
        """It goes over this one."""
        self.protocol, self.address, self.kept = link.protocol, link.address, link.uses > 0


class _Body:
    """Bytes that go out in pieces; it can begin again, on another connection."""

    def __init__(self, content: bytes, seconds: float) -> None:
        self._content = content
        self._seconds = seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if not self._seconds:
            yield self._content
            return
        pieces = max(2, round(self._seconds * 4))
        size = -(-len(self._content) // pieces)
        for at in range(0, len(self._content), size):
            yield self._content[at : at + size]
            await asyncio.sleep(self._seconds / pieces)


class Exchange:
    """Sends requests over links to one API."""

    def __init__(self, to: Target) -> None:
        self._to = to
        self.links = Links(to)
        self._head = [
            (b"host", to.authority.encode()),
            (b"user-agent", _AGENT.encode()),
            (b"accept", b"application/json"),
        ]

    async def send(
        self, ask: Ask, trip: Trip | None = None, patience_s: float = PATIENCE_S
    ) -> Reply:
        """The answer, whatever its status; ``trip`` is told the way. Raises Failure without one.

        ``patience_s`` is for all of it, but for what is slow on purpose.
        """
        trip = trip or Trip(ask.protocol)
        try:
            async with asyncio.timeout(patience_s + ask.drip_s + ask.sip_s):
                return await self._send(ask, trip)
        except (TimeoutError, httpcore2.TimeoutException):
            raise Failure(Reason.TIMEOUT, f"no answer within {PATIENCE_S:g} s") from None
        except Exception as error:
            raise _failure(error) from error

    async def _send(self, ask: Ask, trip: Trip) -> Reply:
        for _ in range(_LEAVES):
            link = await self.links.take(ask.protocol, fresh=ask.fresh, narrow=ask.sip_s > 0)
            trip.over(link)
            try:
                reply = await self._over(link, ask)
            except httpcore2.ConnectionNotAvailable:
                # The server had said that it takes no more before this came: it has not begun.
                await link.close()
            except BaseException:
                await link.close()
                raise
            else:
                if ask.fresh or ask.sip_s:
                    await link.close()
                else:
                    await self.links.give_back(link)
                return reply
        raise Failure(Reason.NO_CONNECTION, f"{_LEAVES} connections were closed before any use")

    async def _over(self, link: Link, ask: Ask) -> Reply:
        link.begin()
        answer = await link.connection.handle_async_request(self._request(ask))
        headers = {name.decode().lower(): value.decode() for name, value in answer.headers}
        # Of an answer without a length, a sip is taken to be a fiftieth.
        pause, hurry = ask.sip_s / int(headers.get("content-length", 0) or 50 * _SIP_BYTES), 0.0
        chunks = []
        try:
            async for chunk in answer.stream:  # type: ignore[union-attr]  # an async one's is async
                chunks.append(chunk)
                hurry = hurry or time.monotonic() + ask.sip_s
                if ask.sip_s and time.monotonic() < hurry:
                    await asyncio.sleep(pause * len(chunk))
        finally:
            await answer.aclose()
        return Reply(answer.status, headers, b"".join(chunks))

    def _request(self, ask: Ask) -> httpcore2.Request:
        headers = list(self._head)
        if ask.token:
            headers.append((b"authorization", f"Bearer {ask.token}".encode()))
        if ask.key:
            headers.append((b"idempotency-key", ask.key.encode()))
        url = httpcore2.URL(
            scheme=self._to.scheme, host=self._to.host, port=self._to.port, target=ask.path
        )
        if ask.body is None:
            return httpcore2.Request(ask.method, url, headers=headers)
        content = json.dumps(ask.body).encode()
        headers.append((b"content-type", b"application/json"))
        headers.append((b"content-length", str(len(content)).encode()))
        body = _Body(content, ask.drip_s)
        return httpcore2.Request(ask.method, url, headers=headers, content=body)


def _failure(error: Exception) -> Failure:
    """What an error of the connection means. Others are ours, and raised again."""
    if isinstance(error, Failure):
        return error
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    if any(isinstance(link, ssl.SSLError) for link in chain):
        told = next(link for link in chain if isinstance(link, ssl.SSLError))
        return Failure(Reason.TLS, str(told))
    # The last one is what the operating system said.
    text = str(chain[-1]) or type(chain[-1]).__name__
    if isinstance(error, httpcore2.ConnectError):
        return Failure(Reason.NO_CONNECTION, text)
    if isinstance(error, httpcore2.NetworkError | httpcore2.ProtocolError):
        return Failure(Reason.NO_ANSWER, text)
    raise error
