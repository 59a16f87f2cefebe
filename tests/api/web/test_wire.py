"""Requests as they come over the wire: malformed, too large, too slow, half sent."""

from __future__ import annotations

import asyncio
import time

import pytest

from gtsd.telemetry.metrics import UNMATCHED
from tests.api.conftest import Running, Start
from tests.api.web.conftest import Dial
from tests.api.web.wires import Raw, Wire

LIMIT = 102_400
HOST = b"Host: gtsd\r\n"


def _post(*headers: bytes) -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"POST /auth/login HTTP/1.1\r\n" + HOST + lines + b"\r\n"


def _check_envelope(answer: Raw, status: int, code: str) -> None:
    assert answer.status == status
    assert set(answer.error) == {"code", "message", "requestId"}
    assert answer.error["code"] == code
    assert answer.headers["x-request-id"] == answer.error["requestId"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"GET /healthz\r\n\r\n",
        b"GET /healthz HTTP/3.0\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nX-Thing: a\x01b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n folded: line\r\n\r\n",
        _post(b"Content-Length: ten"),
        _post(b"Content-Length: -1"),
        _post(b"Content-Length: 3, 4"),
        _post(b"Content-Length: 3", b"Transfer-Encoding: chunked"),
        _post(b"Transfer-Encoding: gzip"),
        _post(b"Transfer-Encoding: chunked") + b"zz\r\n",
        _post(b"Transfer-Encoding: chunked") + b"1\r\nab\r\n",
    ],
)
async def test_what_is_no_http_is_refused_like_all_else_and_the_connection_ends(
    service: Running, dial: Dial, sent: bytes
) -> None:
    """One shape for this too; after it nothing could be told apart from the next request."""
    wire = await dial(service)
    await wire.send(sent)
    answer = await wire.answer()
    _check_envelope(answer, 400, "malformed_request")
    assert answer.headers["connection"] == "close"
    assert await wire.is_closed()
    counted = service.deps.metrics.http_requests.labels("other", UNMATCHED, "400")
    assert counted._value.get() == 1


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(
    service: Running, dial: Dial
) -> None:
    """Headers alone bring the answer (fault 17)."""
    wire = await dial(service)
    await wire.send(_post(b"Content-Length: %d" % (LIMIT + 1)))
    _check_envelope(await wire.answer(), 413, "payload_too_large")


async def test_a_chunked_body_is_refused_as_soon_as_it_is_too_large(
    service: Running, dial: Dial
) -> None:
    """It never says how long it will be."""
    wire = await dial(service)
    await wire.send(_post(b"Transfer-Encoding: chunked"))
    await wire.send(b"%x\r\n%b\r\n" % (LIMIT, b"x" * LIMIT))
    assert not await wire.is_closed(0.05)
    # Enough for Tornado to pass it on; the end of the body is not needed.
    await wire.send(b"%x\r\n%b\r\n" % (LIMIT, b"x" * LIMIT))
    _check_envelope(await wire.answer(), 413, "payload_too_large")


async def test_a_client_that_is_still_sending_can_read_the_refusal(
    service: Running, dial: Dial
) -> None:
    """Closing at once would reset the connection under it, and the answer would be lost."""
    wire = await dial(service)
    size = 4 * 1024 * 1024
    await wire.send(_post(b"Content-Length: %d" % size) + b"x" * 1024)
    # Until the server must have answered, and more than all buffers between us hold.
    for _ in range(size // 65_536 - 1):
        await wire.send(b"x" * 65_536)
    await wire.send(b"x" * (65_536 - 1024))
    answer = await wire.answer()
    _check_envelope(answer, 413, "payload_too_large")
    assert answer.headers["connection"] == "close"
    assert await wire.is_closed()


async def test_a_client_that_asks_first_is_refused_without_sending(
    service: Running, dial: Dial
) -> None:
    """``Expect: 100-continue`` is for exactly this."""
    wire = await dial(service)
    await wire.send(_post(b"Content-Length: %d" % (LIMIT + 1), b"Expect: 100-continue"))
    answer = await wire.answer()
    _check_envelope(answer, 413, "payload_too_large")
    assert answer.headers["connection"] == "close"
    assert await wire.is_closed()


async def test_a_body_of_exactly_the_limit_is_read(service: Running, dial: Dial) -> None:
    """The control: it is refused for what it holds, and the connection stays."""
    wire = await dial(service)
    length = b"Content-Length: %d" % LIMIT
    await wire.send(_post(length, b"Content-Type: application/json") + b"x" * LIMIT)
    _check_envelope(await wire.answer(), 400, "invalid_json")
    await wire.send(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (await wire.answer()).status == 200


async def _closes_after(wire: Wire) -> float:
    began = time.monotonic()
    assert await wire.is_closed()
    return time.monotonic() - began


async def test_clients_that_send_too_slowly_are_cut_off(start: Start, dial: Dial) -> None:
    """Headers that never end, bodies that never come, and connections that nobody uses."""
    service = await start(keepalive_timeout=0.4, body_timeout=0.4)
    unfinished, bodiless, idle, refused = [await dial(service) for _ in range(4)]
    await unfinished.send(b"GET /healthz HTTP/1.1\r\n" + HOST)
    await bodiless.send(_post(b"Content-Length: 10") + b"12345")
    await idle.send(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (await idle.answer()).status == 200
    await refused.send(_post(b"Content-Length: %d" % (LIMIT + 1)))
    assert (await refused.answer()).status == 413
    waits = await asyncio.gather(*map(_closes_after, (unfinished, bodiless, idle, refused)))
    assert all(0.2 < wait < 10 for wait in waits), waits
    # The control: with a slow answer instead of a slow client nothing is cut off.
    assert service.deps.life.in_flight == 0


async def test_a_client_that_keeps_dripping_is_cut_off_as_well(start: Start, dial: Dial) -> None:
    """The time is for all headers together, not for each byte."""
    service = await start(keepalive_timeout=0.4)
    wire = await dial(service)
    began = time.monotonic()
    with pytest.raises(ConnectionError):
        while time.monotonic() - began < 20:
            await wire.send(b"X")
            await asyncio.sleep(0.05)
    assert time.monotonic() - began < 10


async def test_head_is_answered_like_get_without_the_body(service: Running, dial: Dial) -> None:
    """The length is that of GET's body, and the next answer follows at once."""
    wire = await dial(service)
    for method in (b"HEAD", b"GET"):
        await wire.send(method + b" /openapi.json HTTP/1.1\r\n" + HOST + b"\r\n")
    head = await wire.answer(to_head=True)
    get = await wire.answer()
    assert (head.status, get.status) == (200, 200)
    assert int(head.headers["content-length"]) == len(get.body) > 1000
    assert head.headers.keys() == get.headers.keys()
    for name in ("content-type", "content-security-policy", "etag", "cache-control"):
        assert head.headers[name] == get.headers[name]
